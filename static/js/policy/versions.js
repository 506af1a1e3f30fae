// The history of versions: enable Compare when two are chosen, and name them beside it.
function showComparison() {
  const chosen = (name) => document.querySelector(`.versions input[name=${name}]:checked`)?.value;
  const [from, to] = [chosen("from"), chosen("to")];
  document.getElementById("compare").disabled = !from || !to || from === to;
  document.getElementById("compare-note").textContent = !from || !to || from === to ? "Choose two versions below" : `v${from} with v${to}`;
}
document.addEventListener("change", (event) => { if (event.target.closest(".versions")) showComparison(); });
document.addEventListener("htmx:afterSwap", showComparison);
showComparison();
