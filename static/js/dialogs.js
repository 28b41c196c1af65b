// Opens what htmx puts into #dialog, gives the focus back when it closes, and asks before typed text is lost.
(() => {
  let opener = null;
  let before = ""; // the dialog's form as it was first shown

  const contents = (dialog) => {
    const form = dialog.querySelector("form:not(:has(.danger))"); // a typed confirmation is no loss
    return form ? JSON.stringify([...new FormData(form)]) : "";
  };

  // What stands in a closed menu cannot have the focus: its button has it then.
  const focusOn = (element) => {
    const menu = element?.closest("details.dropdown:not([open])");
    (menu ? menu.querySelector("summary") : element)?.focus();
  };

  const giveFocusBack = () => {
    // The list that the opener stood in may have been replaced meanwhile.
    const address = opener?.getAttribute("hx-get");
    const twin = opener?.isConnected || !address ? opener : document.querySelector(`[hx-get="${CSS.escape(address)}"]`);
    focusOn(twin);
    if (document.activeElement === document.body) document.getElementById("main").focus({ preventScroll: true });
  };

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target?.id !== "dialog" || event.target.closest("dialog")) return;
    opener = event.target;
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id !== "dialog") return;
    const dialog = event.detail.target.querySelector("dialog");
    if (!dialog) return;
    // A form that comes back with errors has the typed text already.
    if (event.detail.xhr.status !== 422) before = contents(dialog);
    dialog.addEventListener("cancel", (event) => {
      // A browser lets this be refused once: pressed again, Escape closes the dialog.
      if (!event.cancelable || contents(dialog) === before || dialog.querySelector(".toast.unsaved")) return;
      event.preventDefault();
      window.notices.toast("unsaved");
    });
    dialog.addEventListener("input", () => dialog.querySelector(".toast.unsaved")?.remove());
    dialog.addEventListener("close", () => {
      dialog.remove();
      giveFocusBack();
    });
    dialog.showModal();
    // A question is read from its beginning; an error is shown where it is.
    const wrong = dialog.querySelector("[aria-invalid=true]");
    if (wrong) wrong.focus();
    else {
      const first = ".dialog-body :is(input:not([type=hidden], [readonly], [hidden]), select, textarea), .actions > *";
      (dialog.querySelector("[autofocus]") ?? dialog.querySelector(first))?.focus({ preventScroll: true });
      dialog.scrollTop = 0;
    }
  });

  document.addEventListener("click", (event) => {
    const dialog = event.target.closest("[data-close]")?.closest("dialog[open]");
    if (!dialog) return;
    event.preventDefault();
    dialog.close();
  });

  // A long text in the page itself: the browser asks before the page is left, unless the text is being sent.
  const texts = () => [...document.querySelectorAll("main form textarea")];
  let sent = false;
  let refused = false; // a text that comes back with errors is not saved, although it is what the server sent
  document.addEventListener("submit", (event) => {
    if (event.target.querySelector("textarea")) sent = true;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.elt.closest("form")?.querySelector("textarea")) return;
    refused = event.detail.xhr.status === 422;
    if (!event.detail.xhr.getResponseHeader("HX-Redirect")) sent = false;
  });
  addEventListener("beforeunload", (event) => {
    if (!sent && texts().some((text) => refused || text.value !== text.defaultValue)) event.preventDefault();
  });

  // "Back" shows a page as it was left, to whoever is there then: no dialog of it, and nothing that is not fetched again.
  addEventListener("pagehide", () => {
    for (const dialog of document.querySelectorAll("dialog")) dialog.remove();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
})();
