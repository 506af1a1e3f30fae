// The panel of a suppression rule: Apply is disabled until a name, a condition, and the expiration day if chosen. What
// the rule would have dismissed is shown above Apply as soon as there is a condition.
const panel = () => document.querySelector("#panel .suppression")?.closest("form");

function sync() {
  const form = panel();
  if (!form) return;
  const { name, expiration, expires } = form.elements;
  const filled = [...form.querySelectorAll(".entities textarea")].some((area) => area.value.trim());
  form.querySelector("[type=submit]").disabled = !name.value.trim() || !filled || (expiration.value === "date" && !expires.value);
}

document.addEventListener("input", sync);
// Settled: before that htmx does not know the buttons of the panel yet.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.id !== "panel") return;
  sync();
  if (panel() && document.querySelector("#simulation > *")) simulated = deciding();
  else if (panel()) simulate();
});

// ---- Simulate what was typed, and drop what was shown of another rule, or comes late for one.
const DECIDING = '[name^="value-"], [name^="operator-"], [name="environment"], [name="covers_new_content"]';

const deciding = () => [...panel().querySelectorAll(DECIDING)].map((each) => (each.matches("[type=checkbox]") ? each.checked : each.value)).join("\n");
let simulated = ""; // what decides, of the rule that was simulated last

document.addEventListener("input", (event) => {
  if (panel()?.contains(event.target) && deciding() !== simulated) document.getElementById("simulation").replaceChildren();
});
document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt.id === "simulate") simulated = deciding(); });
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "simulation" || !panel() || deciding() === simulated) return;
  event.detail.shouldSwap = false;
  simulate();
});

function simulate() {
  document.getElementById("simulation").replaceChildren();
  if ([...panel().querySelectorAll(".entities textarea")].some((area) => area.value.trim())) document.getElementById("simulate").click();
}
document.addEventListener("change", (event) => { if (event.target.closest("#panel form")?.querySelector(".suppression") && event.target.matches(DECIDING)) simulate(); });
