// Names the boxes that Select2 puts in the place of a field: alone they are named by what is chosen, at first by nothing.
// Django's own script makes them when the page is ready, and was asked before this one.
django.jQuery(() => {
  for (const field of document.querySelectorAll("select.admin-autocomplete")) {
    const label = document.querySelector(`label[for="${CSS.escape(field.id)}"]`);
    const box = field.parentElement.querySelector(".select2-selection");
    const chosen = box?.querySelector(".select2-selection__rendered");
    if (!label || !chosen) continue;
    label.id ||= `${field.id}_label`;
    box.setAttribute("aria-labelledby", `${label.id} ${chosen.id}`);
    chosen.setAttribute("aria-labelledby", label.id);
  }
});
