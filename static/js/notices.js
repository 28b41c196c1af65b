// What a page says while it is open: to screen readers (announce), and as a notice at the bottom of the window (toast).
// An open dialog makes all else inert: both go into it, or nobody would hear or see them.
window.notices = (() => {
  const openDialog = () => document.querySelector("dialog[open]");

  const announce = (text) => {
    const region = openDialog()?.querySelector("[data-announcer]") ?? document.getElementById("announcer");
    region.textContent = "";
    requestAnimationFrame(() => (region.textContent = text));
  };

  // Shows the <template> of this id in the place of any notice before it; returns the new element.
  const toast = (id) => {
    for (const old of document.querySelectorAll(".toast")) old.remove();
    const shown = document.getElementById(id).content.firstElementChild.cloneNode(true);
    (openDialog() ?? document.body).append(shown);
    return shown;
  };

  // Says that something failed: what happened, then what to do.
  const fail = (what, advice = "") => {
    const shown = toast("failure");
    shown.querySelector("strong").textContent = what;
    shown.querySelector("[data-advice]").textContent = advice;
    return shown;
  };

  // Says that something is finished that took a while.
  const done = (what) => {
    toast("done").querySelector("[data-title]").textContent = what;
    announce(what);
  };

  const words = () => document.body.dataset;

  // Our error pages are a heading and a sentence. Another program's, such as a proxy's, says nothing that helps.
  const ofAnswer = (xhr) => {
    const page = new DOMParser().parseFromString(xhr.responseText ?? "", "text/html");
    const heading = page.querySelector("body.signed-out > main > h1");
    if (!heading) return fail(words().failed, words().reload);
    return fail(`${heading.textContent.trim()}.`, heading.nextElementSibling.textContent.trim());
  };

  // What the page asks for by itself fails silently: it asks again.
  const asked = (event) => event.detail.requestConfig?.triggeringEvent?.isTrusted;

  document.addEventListener("click", (event) => {
    event.target.closest("[data-dismiss]")?.closest(".toast").remove();
  });
  document.addEventListener("announce", (event) => announce(event.detail.text));
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => asked(event) && fail(words().offline, words().connection));
  }
  document.addEventListener("htmx:responseError", (event) => asked(event) && ofAnswer(event.detail.xhr));
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (asked(event)) document.querySelector(".toast")?.remove();
  });

  return { announce, done, fail, toast };
})();
