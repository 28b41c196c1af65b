// Before the first paint: the theme, and that there is script. The account's choice stands in the page; this browser keeps it
// for the pages of signing in.
(() => {
  const root = document.documentElement;
  root.classList.remove("no-script");
  const own = root.dataset.accountTheme;
  try {
    if (own === "system") localStorage.removeItem("theme");
    else if (own) localStorage.setItem("theme", own);
    else {
      const theme = localStorage.getItem("theme");
      if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    }
  } catch {
    // no storage: the system decides
  }
})();
