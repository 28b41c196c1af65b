// The few things that neither HTML nor htmx does: times, ticked rows, menus, tabs, the theme.
(() => {
  const localTimes = (root) => {
    // Swedish writes times as ISO 8601 does: short, sortable by eye, the same for everybody.
    const format = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });
    const day = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short" });
    for (const time of root.querySelectorAll("time[datetime]:not([data-ago], [data-zoned])")) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.valueOf())) time.textContent = ("day" in time.dataset ? day : format).format(moment);
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
    const bar = form.querySelector(".selected-rows");
    bar.classList.toggle("shown", ticked > 0);
    bar.querySelector("[data-ticked]").textContent = String(ticked);
  };

  const untick = (form) => {
    for (const box of form.querySelectorAll("input[type=checkbox]")) box.checked = false;
    refreshTicks(form);
    form.querySelector("thead input[type=checkbox]").focus();
  };

  // Menus are <details class="dropdown">.
  const openMenus = () => document.querySelectorAll("details.dropdown[open]");

  // Tabs are one line, which scrolls where it does not fit: the current one is in sight.
  const showCurrentTab = () => {
    const tab = document.querySelector(".tabs.long [aria-current]");
    const beyond = tab ? tab.getBoundingClientRect().right - tab.parentElement.getBoundingClientRect().right : 0;
    if (beyond > 0) tab.parentElement.scrollLeft += Math.ceil(beyond);
  };

  const prepare = (root) => {
    localTimes(root);
    for (const form of document.querySelectorAll("form[data-ticks]")) refreshTicks(form);
  };

  document.addEventListener("click", (event) => {
    for (const menu of openMenus()) {
      if (!menu.contains(event.target) || event.target.closest(".menu [hx-get]")) menu.open = false;
    }
    const target = event.target.closest("[data-menu], [data-theme-switch], [data-clear]");
    if (!target) return;
    if (target.matches("[data-clear]")) untick(target.form);
    else if (target.matches("[data-menu]")) {
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

  document.addEventListener("htmx:afterSettle", (event) => prepare(event.detail.elt ?? document));

  prepare(document);
  showCurrentTab();
})();
