// Where the focus goes when a page or a part of it is replaced: never to the page's body.
(() => {
  const focusOn = (element) => {
    if (!element) return;
    if (!element.hasAttribute("tabindex")) element.tabIndex = -1;
    element.focus({ preventScroll: true });
  };

  // After an action: the notice that says what happened, which a screen reader reads then. A page that was reached from
  // another one: its content, past the sidebar, which comes before it.
  const start = () => {
    // A field that asks for the focus gets it after this script.
    if (document.activeElement !== document.body || location.hash || document.querySelector("[autofocus]")) return;
    const notice = document.querySelector("main .notice[role=status][data-after]");
    const inside = document.referrer.startsWith(`${location.origin}/`);
    focusOn(notice ?? (inside ? document.getElementById("main") : null));
  };

  // A form that comes back with errors: the focus goes to the first invalid field, and the passwords that were typed stay.
  // They are kept here until then: the server sends no password back. From the first one that is refused on they are
  // typed again.
  let typed = new Map();
  document.addEventListener("htmx:beforeSwap", (event) => {
    const fields = event.detail.xhr.status === 422 ? event.detail.target?.querySelectorAll("input[type=password]") : [];
    typed = new Map([...(fields ?? [])].map((field) => [field.id, field.value]));
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    // It is sent to each node that came, texts included.
    if (event.detail.xhr?.status !== 422 || !(event.target instanceof Element)) return;
    for (const field of event.target.querySelectorAll("input[type=password]")) {
      if (field.matches("[aria-invalid=true]")) break;
      field.value = typed.get(field.id) ?? "";
    }
    event.target.querySelector("[aria-invalid=true]")?.focus();
  });
  document.addEventListener("htmx:afterSettle", () => typed.clear());

  // A part that is replaced or removed takes the focus with it. htmx gives it to what has the same ID; where nothing has,
  // as on the last page, where there is no next one, the nearest part around it that is still there takes it.
  let around = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    const target = event.detail.target;
    around = [];
    if (!target?.contains(document.activeElement) || document.activeElement === document.body) return;
    for (let part = target; part; part = part.parentElement?.closest("[id]")) if (part.id) around.push(part.id);
  });
  const giveBack = () => {
    const parts = around;
    around = [];
    if (document.activeElement !== document.body) return;
    const left = parts.map((id) => document.getElementById(id)).find((part) => part?.checkVisibility());
    if (left && !left.querySelector("dialog")) focusOn(left);
  };
  // The second one comes alone where nothing took the place.
  for (const name of ["htmx:afterSettle", "htmx:afterRequest"]) document.addEventListener(name, giveBack);

  start();
})();
