// Runs before the first paint: a chosen theme never flashes the other one, and CSS can tell that scripts run.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
})();
