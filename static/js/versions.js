// The history of versions: what the Compare command would show, and that it needs two.
function tell() {
  const chosen = (name) => document.querySelector(`.versions input[name=${name}]:checked`)?.value;
  const [from, to] = [chosen("from"), chosen("to")];
  document.getElementById("compare").disabled = !from || !to || from === to;
  document.getElementById("compare-note").textContent = !from || !to || from === to ? "Choose two versions below" : `v${from} with v${to}`;
}
document.addEventListener("change", (event) => { if (event.target.closest(".versions")) tell(); });
document.addEventListener("htmx:afterSwap", tell);
tell();
