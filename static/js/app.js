// The few things that neither HTML nor htmx does: opening dialogs, ticked rows, times, theme, narrow menu.
(() => {
  const localTimes = (root) => {
    // Swedish writes times as ISO 8601 does: short, sortable by eye, the same for everybody.
    const format = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });
    for (const time of root.querySelectorAll("time[datetime]:not([data-ago], [data-zoned])")) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.valueOf())) time.textContent = format.format(moment);
    }
  };

  // How long ago something was grows while a page is open: the first text in it, in the words that the server chose.
  const PERIODS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3600], ["minute", 60]];
  const ages = new Intl.RelativeTimeFormat(document.documentElement.lang || "en");
  const age = () => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      const [period, length] = PERIODS.find(([, length]) => seconds >= length) ?? [];
      if (period && time.firstChild) time.firstChild.data = ages.format(-Math.floor(seconds / length), period);
    }
  };
  setInterval(age, 60_000);

  // A form with ticked rows: the bar with its buttons is shown while something is ticked; the box in the head ticks all.
  const refreshTicks = (form) => {
    const boxes = [...form.querySelectorAll("tbody input[type=checkbox]:not(:disabled)")];
    const ticked = boxes.filter((box) => box.checked).length;
    const all = form.querySelector("thead input[type=checkbox]");
    if (all) {
      all.checked = boxes.length > 0 && ticked === boxes.length;
      all.indeterminate = ticked > 0 && ticked < boxes.length;
    }
    const bar = form.querySelector(".selection");
    bar.classList.toggle("shown", ticked > 0);
    bar.querySelector("[data-ticked]").textContent = String(ticked);
  };

  const untick = (form) => {
    for (const box of form.querySelectorAll("input[type=checkbox]")) box.checked = false;
    refreshTicks(form);
    form.querySelector("thead input[type=checkbox]").focus();
  };

  // Menus are <details class="dropdown">. What stands in a closed one cannot have the focus: its button has it then.
  const openMenus = () => document.querySelectorAll("details.dropdown[open]");
  const focusOn = (element) => {
    const menu = element?.closest("details.dropdown:not([open])");
    (menu ? menu.querySelector("summary") : element)?.focus();
  };

  const prepare = (root) => {
    localTimes(root);
    for (const form of document.querySelectorAll("form[data-ticks]")) refreshTicks(form);
  };

  let opener = null;

  document.addEventListener("click", (event) => {
    for (const menu of openMenus()) {
      if (!menu.contains(event.target) || event.target.closest(".menu [hx-get]")) menu.open = false;
    }
    const target = event.target.closest("[data-close], [data-menu], [data-theme-switch], [data-clear]");
    if (!target) return;
    if (target.matches("[data-clear]")) untick(target.form);
    else if (target.matches("[data-close]")) {
      const dialog = target.closest("dialog[open]");
      if (dialog) {
        event.preventDefault();
        dialog.close();
      }
    } else if (target.matches("[data-menu]")) {
      const open = document.getElementById("sidebar").classList.toggle("open");
      target.setAttribute("aria-expanded", String(open));
    } else {
      event.preventDefault();
      const root = document.documentElement;
      const dark = getComputedStyle(root).colorScheme === "dark" ||
        (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
      root.dataset.theme = dark ? "light" : "dark";
      htmx.ajax("POST", target.form.action, { source: target.form, values: { theme: root.dataset.theme }, swap: "none" });
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of openMenus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  document.addEventListener("focusout", (event) => {
    const menu = event.target.closest("details.dropdown[open]");
    const next = event.relatedTarget;
    if (menu && next && !menu.contains(next) && !next.matches("textarea")) menu.open = false;
  });

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-ticks]");
    if (!form || event.target.type !== "checkbox") return;
    if (event.target.closest("thead")) {
      for (const box of form.querySelectorAll("tbody input[type=checkbox]:not(:disabled)")) {
        box.checked = event.target.checked;
      }
    }
    refreshTicks(form);
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target?.id === "dialog" && !event.target.closest("dialog")) opener = event.target;
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id !== "dialog") return;
    const dialog = event.detail.target.querySelector("dialog");
    if (!dialog) return;
    dialog.addEventListener("close", () => {
      dialog.remove();
      // The list that the opener stood in may have been replaced meanwhile.
      const address = opener?.getAttribute("hx-get");
      const twin = opener?.isConnected || !address ? opener : document.querySelector(`[hx-get="${CSS.escape(address)}"]`);
      focusOn(twin);
    });
    dialog.showModal();
    // A question is read from its beginning; an error is shown where it is.
    const wrong = dialog.querySelector("[aria-invalid=true]");
    if (wrong) wrong.focus();
    else {
      dialog.querySelector("[autofocus]")?.focus({ preventScroll: true });
      dialog.scrollTop = 0;
    }
  });

  // A form that comes back with errors: the focus goes to the first invalid field, and the passwords that were typed stay.
  // They are kept here, for as long as the answer takes: the server sends no password back. From the first one that is
  // refused on they are typed anew.
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

  // A list that is replaced takes the focus with it. htmx gives it to what has the same id; where nothing has, as on the
  // last page, where there is no next one, the list itself takes it.
  let focusIn = "";
  document.addEventListener("htmx:beforeSwap", (event) => {
    const target = event.detail.target;
    focusIn = target?.contains(document.activeElement) ? target.id : "";
  });
  document.addEventListener("htmx:afterSettle", () => {
    const list = focusIn && document.activeElement === document.body ? document.getElementById(focusIn) : null;
    focusIn = "";
    if (!list || list.querySelector("dialog")) return;
    list.tabIndex = -1;
    list.focus({ preventScroll: true });
  });

  document.addEventListener("htmx:afterSettle", (event) => prepare(event.detail.elt ?? document));

  // "Back" shows a page as it was left, to whoever is there then: no dialog of it, and nothing that is not asked for anew.
  addEventListener("pagehide", () => {
    for (const dialog of document.querySelectorAll("dialog")) dialog.remove();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });

  prepare(document);
})();
