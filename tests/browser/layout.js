// What does not fit in a page or dialog at one width: test_layout.py calls it. Returns sentences, none if all fits.
(root, width) => {
  // What is meant to scroll sideways: commands of one line, pre-formatted text, and the administration's own tables.
  const scrolling = ".command code, pre, input, select, textarea, .prose table, .prose .wide, .tabs.long, .results, #changelist-filter";
  const unseen = ".hidden, .skip, .visually-hidden, .skip-to-content-link, option, noscript, script";
  const visible = (element) =>
    !element.closest(unseen) &&
    element.checkVisibility({ visibilityProperty: true }) &&
    !(element.closest("svg") && element.localName !== "svg") &&
    ![element.closest("thead"), element.closest("th")].some((head) => head && getComputedStyle(head).clipPath !== "none");
  const describe = (element) => {
    const parts = [];
    for (let one = element; one && one !== document.body && parts.length < 4; one = one.parentElement) {
      parts.unshift([one.localName, ...one.classList].join("."));
    }
    return `${parts.join(" > ")} “${element.textContent.trim().replace(/\s+/g, " ").slice(0, 30)}”`;
  };
  // Django's own layout of the administration has boxes that overlap by design: there the window's edge counts.
  const admin = document.body.hasAttribute("data-admin-utc-offset");
  const found = new Map();
  const cut = new Set();
  const frame = root.localName === "dialog" ? root.getBoundingClientRect() : { left: 0, right: width };
  for (const element of [root, ...root.querySelectorAll("*")]) {
    if (element.parentElement?.closest(scrolling) || !visible(element)) continue;
    if (cut.has(element.parentElement)) {
      cut.add(element); // its end is not seen, which is said of what cuts it
      continue;
    }
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const style = getComputedStyle(element);
    const scrolls = element.matches(scrolling);
    const sideways = !scrolls && style.display !== "inline" && element.scrollWidth - element.clientWidth > 1;
    const down = /hidden|clip/.test(style.overflowY) && element.scrollHeight - element.clientHeight > 1;
    if (box.right > frame.right + 1 || box.left < frame.left - 1) {
      found.set(element, `reaches from ${Math.round(box.left)} to ${Math.round(box.right)} px`);
    } else if (admin) {
      continue;
    } else if (sideways && /auto|scroll/.test(style.overflowX)) {
      found.set(element, "scrolls sideways");
    } else if (sideways && style.overflowX === "visible") {
      found.set(element, "is narrower than its content");
    } else if (sideways || (down && !scrolls)) {
      cut.add(element);
      const told = element.closest("[title]") ?? element.querySelector("[title]");
      if (!told?.title.trim()) found.set(element, "is cut, and no title says the rest");
    }
  }
  // Of what is too wide the innermost is the cause.
  for (const element of [...found.keys()]) {
    for (let outer = element.parentElement; outer; outer = outer.parentElement) found.delete(outer);
  }
  const page = document.scrollingElement;
  return [
    ...(page.scrollWidth > page.clientWidth ? [`the page is ${page.scrollWidth} px wide`] : []),
    ...new Set([...found].map(([element, what]) => `${what}: ${describe(element)}`)),
  ];
};
