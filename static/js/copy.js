// Copying. Browsers allow it on pages with TLS and on the machine itself; elsewhere the old way may work, or none does.
// "Copied" is said only after the browser has said so: otherwise the text is selected, and the page says which keys copy.
(() => {
  const words = () => document.body.dataset;

  const hint = () => {
    if (matchMedia("(hover: none) and (pointer: coarse)").matches) return words().copyTouch;
    return /mac/i.test(navigator.userAgentData?.platform ?? navigator.platform) ? words().copyMac : words().copyKeys;
  };

  const copyTheOldWay = (button) => {
    const area = document.createElement("textarea");
    area.className = "hidden";
    area.value = button.dataset.copy;
    (button.closest("dialog") ?? document.body).append(area);
    area.select();
    let copied = false;
    try {
      copied = document.execCommand("copy");
    } catch {
      // not allowed
    }
    area.remove();
    button.focus();
    return copied;
  };

  const write = async (button) => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      return true;
    } catch {
      return copyTheOldWay(button);
    }
  };

  // The element before the button, if it shows the text from its beginning to its end.
  const shownInFull = (button) => {
    const beside = button.previousElementSibling;
    return beside?.textContent === button.dataset.copy && beside.scrollWidth <= beside.clientWidth ? beside : null;
  };

  const offer = (button) => {
    const shown = notices.toast("copy-by-hand");
    shown.querySelector("p").textContent = hint();
    const beside = shownInFull(button);
    if (beside) getSelection().selectAllChildren(beside);
    else {
      const field = shown.querySelector("textarea");
      field.hidden = false;
      field.value = button.dataset.copy;
      field.focus();
      field.select();
    }
    const close = () => {
      shown.remove();
      button.focus();
    };
    shown.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // a dialog around it stays open
      event.stopPropagation();
      close();
    });
    notices.announce(hint());
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    if (!(await write(button))) {
      offer(button);
      return;
    }
    document.querySelector(".toast")?.remove();
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
    notices.announce(button.dataset.copied);
  });
})();
