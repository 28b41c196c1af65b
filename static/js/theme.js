// Before the first paint: the theme chosen last, and that there is script.
(() => {
  const root = document.documentElement;
  root.classList.remove("no-script");
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    // no storage: the system decides
  }
})();
