// Keeps an open list up to date: polls its version, a few bytes, and fetches the list when the version changes.
// Polling is fast while somebody uses the page or something changes in it, and backs off while the page is idle.
// Ticked, unfolded and focused elements stay so although the list is replaced. A request of the reader comes first
// (hx-sync): it aborts a refresh, and none starts before the request is done.
(() => {
  const FAST = 1000; // milliseconds between two polls
  const SLOW = 30_000;
  const BACKOFF = 1.5; // each poll of an idle page waits so much longer than the one before
  const IDLE_AFTER = 120_000; // milliseconds since the page was last used, or the list last changed
  const STALE_AFTER = 3; // consecutive failures
  const RETRY = 10_000; // the longest wait between two polls that fail

  const list = () => document.querySelector("[data-watch]");

  // What tells an element from all others of its kind, before and after the list was replaced.
  const mark = (element) => {
    const named = element.localName === "summary" ? element.parentElement : element;
    const name = named.dataset.copy ?? named.getAttribute("href") ?? named.value ?? named.dataset.keep;
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
    if (held.focused) {
      const same = parts(now, "a, button, input, summary").filter((one) => mark(one) === held.focused);
      same.find((one) => one.checkVisibility())?.focus();
    }
    const wrap = now.querySelector(".table-wrap");
    if (wrap) wrap.scrollLeft = held.scroll;
    held = null;
  });

  // A row that was being deleted says so when it is gone, unless the reader has turned to other rows.
  const deletions = () => new Map(parts(document, "[data-deleted]").map((row) => [row.id, row]));
  let deleting = deletions();
  const tellDeleted = async (event) => {
    const byReader = event.detail.requestConfig?.triggeringEvent?.isTrusted;
    const gone = [...deleting].filter(([id]) => !byReader && !document.getElementById(id));
    deleting = deletions();
    for (const [, row] of gone) {
      // It may be on another page of the list now: of an image that is gone, the row is empty.
      const answer = await fetch(row.getAttribute("hx-get"), { headers: { "HX-Request": "true" } });
      if (answer.ok && !(await answer.text()).trim()) notices.done(row.dataset.deleted);
    }
  };
  for (const name of ["htmx:afterSettle", "htmx:afterRequest"]) document.addEventListener(name, tellDeleted);

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
  const fail = () => {
    wait = Math.min(RETRY, wait * 2);
    failures += 1;
    if (failures === STALE_AFTER) stale = notices.fail(words.offline, words.stale);
  };
  const succeed = () => {
    failures = 0;
    stale?.remove();
    wait = performance.now() - usedAt < IDLE_AFTER ? FAST : Math.min(SLOW, wait * BACKOFF);
  };

  let wait = FAST;
  let usedAt = performance.now();
  let timer = 0;
  const next = (milliseconds) => {
    clearTimeout(timer);
    timer = setTimeout(poll, milliseconds);
  };

  // Returns false when the page need not poll any more.
  const fetchVersion = async (watched) => {
    const answer = await fetch(watched.dataset.watch, { headers: { Accept: "text/plain" }, redirect: "manual" });
    if (answer.type === "opaqueredirect") {
      notices.fail(words.ended, words.changed);
      return false; // signed out: every further poll would get the same answer
    }
    if (answer.status === 404 && watched.dataset.gone) {
      location.assign(watched.dataset.gone);
      return false;
    }
    if (!answer.ok) {
      fail();
      return true;
    }
    const version = await answer.text();
    // A newer list may have come meanwhile.
    if (watched.isConnected && watched.dataset.version !== version) {
      watched.dataset.version = version;
      usedAt = performance.now();
      refresh();
    }
    succeed();
    return true;
  };

  let polling = false;
  const poll = async () => {
    timer = 0;
    const watched = list();
    if (watched && !document.hidden) {
      polling = true;
      try {
        if (!(await fetchVersion(watched))) return;
      } catch {
        fail();
      }
      polling = false;
    }
    next(wait);
  };
  next(FAST);

  // Using the page wakes it: the next poll comes within a second.
  const wake = () => {
    usedAt = performance.now();
    if (polling || failures || wait === FAST) return;
    wait = FAST;
    next(0);
  };
  for (const use of ["pointermove", "pointerdown", "keydown", "wheel", "touchstart", "focus"]) {
    window.addEventListener(use, wake, { capture: true, passive: true });
  }
  document.addEventListener("htmx:afterRequest", (event) => {
    // A refresh of the list, and what the page polls without an event, is no use of the page.
    const type = event.detail.requestConfig?.triggeringEvent?.type;
    if (type && type !== "list-changed") wake();
  });

  // Counts down to the next retry of failed work. Its outcome changes the list, which is fetched after a few seconds.
  const REFRESH_AFTER = 3;
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
    if (trying && trying % REFRESH_AFTER === 0 && !document.hidden) refresh();
  };
  setInterval(countDown, 1000);

  document.addEventListener("visibilitychange", () => {
    if (document.hidden || !list()) return;
    wake();
    refresh();
  });
})();
