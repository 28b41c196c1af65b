// Whether an open dialog can be read and answered: given to the browser by test_layout.py. Returns sentences.
(dialog) => {
  const problems = [];
  const inView = (element) => {
    const box = element.getBoundingClientRect();
    return box.height > 0 && box.top >= -1 && box.bottom <= innerHeight + 1;
  };
  for (const element of [dialog, ...dialog.querySelectorAll("*")]) {
    if (element.scrollTop > 1 && !element.matches("pre")) problems.push(`is scrolled by ${element.scrollTop} px at opening`);
    if (element.scrollLeft > 1) problems.push("is scrolled sideways at opening");
  }
  if (!inView(dialog.querySelector("h2"))) problems.push("its title is out of view");
  const question = dialog.querySelector(".dialog-body p, .dialog-body label, .dialog-body .label, .dialog-body legend");
  const top = question.getBoundingClientRect().top;
  if (top < 0 || top > innerHeight - 40) problems.push("its first sentence is out of view");
  for (const button of dialog.querySelectorAll(".actions .button")) {
    if (!inView(button)) problems.push(`the button “${button.textContent.trim()}” is out of view`);
  }
  for (const field of dialog.querySelectorAll("input, select, textarea, .command code")) {
    if (!field.checkVisibility() || field.type === "hidden") continue;
    field.scrollIntoView({ block: "nearest", behavior: "instant" });
    const box = field.getBoundingClientRect();
    const there = document.elementFromPoint(box.left + Math.min(box.width / 2, 20), box.top + Math.min(box.height / 2, 10));
    if (there !== field) problems.push(`the field ${field.name || field.id} cannot be reached`);
  }
  return problems;
};
