// Sets the theme before the first paint: the remembered one, else the system's. src/theme.ts changes it later.
(() => {
  const root = document.documentElement;
  try {
    root.dataset.choice = localStorage.getItem("tieline-theme") ?? "system";
  } catch {
    root.dataset.choice = "system"; // storage may be forbidden
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = root.dataset.choice === "system" ? (dark ? "dark" : "light") : root.dataset.choice;
})();
