// The search in the head: "/" leads there, arrow keys go through what is found, Escape closes it and then leads back.
(() => {
  const form = document.querySelector("form.finder");
  if (!form) return;
  const field = form.querySelector("input");
  const results = document.getElementById("search-results");
  let cameFrom = null;

  const writing = "input:not([type=checkbox], [type=radio], [type=submit], [type=button]), textarea, select, [contenteditable]";
  const isOpen = () => results.childElementCount > 0 && results.checkVisibility();

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.target.closest?.(writing) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    cameFrom = document.activeElement;
    field.focus();
    field.select();
  });

  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (isOpen()) {
        event.preventDefault(); // the text stays
        form.classList.add("closed");
        field.focus();
      } else if (cameFrom?.isConnected && cameFrom !== document.body) cameFrom.focus();
      else field.blur();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      form.classList.remove("closed");
      if (!isOpen()) return;
      event.preventDefault();
      const stops = [field, ...results.querySelectorAll("a")];
      const next = Math.max(stops.indexOf(document.activeElement), 0) + (event.key === "ArrowDown" ? 1 : -1);
      stops[(next + stops.length) % stops.length].focus();
    }
  });

  const reopen = () => form.classList.remove("closed");
  field.addEventListener("input", reopen);
  form.addEventListener("focusin", (event) => {
    if (!form.contains(event.relatedTarget)) reopen();
  });
})();
