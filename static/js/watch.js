// Keeps an open list up to date: asks every second whether anything changed, and fetches the list only then.
// What the reader has ticked, unfolded or focused stays so, although the list is replaced. What the reader asks for comes
// first (hx-sync): it ends a refresh that is under way, and none is begun before it is there.
(() => {
  const EVERY = 1000;
  const PATIENCE = 10_000;
  const STALE_AFTER = 3; // failures one after another, within some ten seconds

  const list = () => document.querySelector("[data-watch]");

  // What tells an element from all others of its kind, before and after the list was replaced.
  const mark = (element) => {
    const name = element.dataset.copy ?? element.getAttribute("href") ?? element.value ?? element.dataset.keep;
    return name === undefined || name === null ? "" : `${element.localName} ${name}`;
  };
  const parts = (root, selector) => [...root.querySelectorAll(selector)];

  let held = null;

  document.addEventListener("htmx:beforeSwap", (event) => {
    const old = event.detail.target;
    if (!old.matches?.("[data-watch]") || event.detail.requestConfig?.triggeringEvent?.type !== "list-changed") return;
    const focused = document.activeElement;
    held = {
      ticked: new Set(parts(old, "tbody input:checked").map(mark)),
      open: new Set(parts(old, "details[open]").map(mark)),
      focused: focused && old.contains(focused) ? mark(focused) : "",
      scroll: old.querySelector(".table-wrap")?.scrollLeft ?? 0,
    };
  });

  document.addEventListener("htmx:afterSwap", () => {
    const now = list();
    if (!held || !now) return;
    for (const box of parts(now, "tbody input[type=checkbox]")) box.checked = held.ticked.has(mark(box)) && !box.disabled;
    for (const details of parts(now, "details")) details.open = held.open.has(mark(details));
    if (held.focused) parts(now, "a, button, input, summary").find((one) => mark(one) === held.focused)?.focus();
    const wrap = now.querySelector(".table-wrap");
    if (wrap) wrap.scrollLeft = held.scroll;
    held = null;
  });

  // A press that begins on a row ends on the same row, or it is no click: while a button is down nothing is replaced.
  let pressed = false;
  let owed = false;
  let releasing = 0;
  const refresh = () => {
    owed = pressed;
    if (!pressed) htmx.trigger(document.body, "list-changed");
  };
  document.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.ctrlKey) return; // opens a menu, which may keep the release to itself
    clearTimeout(releasing);
    releasing = 0;
    pressed = true;
    const watched = list();
    if (!watched?.classList.contains("htmx-request")) return;
    htmx.trigger(watched, "htmx:abort");
    owed = true;
  });
  const release = () => {
    // The click comes after the release: at once with a mouse, a little later with a finger.
    clearTimeout(releasing);
    releasing = setTimeout(() => {
      pressed = false;
      releasing = 0;
      if (owed) refresh();
    }, 50);
  };
  for (const end of ["pointerup", "pointercancel", "contextmenu"]) document.addEventListener(end, release);
  window.addEventListener("blur", release);
  document.addEventListener("pointermove", (event) => {
    if (pressed && !releasing && event.buttons === 0) release();
  });

  // A list that is no longer kept up to date says so.
  const words = document.body.dataset;
  let failures = 0;
  let stale = null;
  const failed = () => {
    wait = Math.min(PATIENCE, wait * 2);
    failures += 1;
    if (failures === STALE_AFTER) stale = notices.fail(words.offline, words.stale);
  };

  let wait = EVERY;
  const look = async () => {
    const watched = list();
    if (watched && !document.hidden) {
      try {
        const answer = await fetch(watched.dataset.watch, { headers: { Accept: "text/plain" }, redirect: "manual" });
        if (answer.type === "opaqueredirect") {
          notices.fail(words.ended, words.changed);
          return; // each further question would get the same answer
        }
        if (answer.status === 404 && watched.dataset.gone) {
          location.assign(watched.dataset.gone);
          return; // asked for once: a slow answer is waited for
        }
        if (answer.ok) {
          wait = EVERY;
          failures = 0;
          stale?.remove();
          const version = await answer.text();
          // The list may have been replaced meanwhile, with a newer answer.
          if (watched.isConnected && watched.dataset.version !== version) {
            watched.dataset.version = version;
            refresh();
          }
        } else failed();
      } catch {
        failed();
      }
    }
    setTimeout(look, wait);
  };
  setTimeout(look, EVERY);

  // Until what failed is tried again. What comes of it changes the list, or is asked for after a few seconds.
  const ASK_AFTER = 3;
  let trying = 0;
  const countDown = () => {
    const shown = document.querySelectorAll("[data-next-try]");
    let now = 0;
    for (const one of shown) {
      const seconds = one.querySelector("[data-seconds]");
      const left = seconds ? Number(seconds.textContent) - 1 : 0;
      if (left > 0) seconds.textContent = String(left);
      else {
        one.textContent = one.dataset.now;
        now += 1;
      }
    }
    trying = now ? trying + 1 : 0;
    if (trying && trying % ASK_AFTER === 0 && !document.hidden) refresh();
  };
  setInterval(countDown, 1000);

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && list()) refresh();
  });
})();
