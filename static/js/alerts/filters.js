// Filters: suggest existing values while typing, and keep the focus on the filter in use.
const DEBOUNCE = 120; // ms without a keystroke

let timer = 0;
let requests = 0;

async function suggest(input) {
  requests += 1;
  const own = requests;
  const query = new URLSearchParams({ property: input.dataset.suggested, typed: input.value });
  const answer = await fetch(`${input.dataset.valuesUrl}?${query}`).catch(() => null);
  if (!answer?.ok || own !== requests) return; // a later keystroke has sent another request
  const { values } = await answer.json();
  input.list?.replaceChildren(...values.map((value) => Object.assign(document.createElement("option"), { value })));
}

function soon(event, delay) {
  const input = event.target.closest?.("[data-suggested]");
  if (!input) return;
  clearTimeout(timer);
  timer = setTimeout(suggest, delay, input);
}
document.addEventListener("focusin", (event) => soon(event, 0));
document.addEventListener("input", (event) => soon(event, DEBOUNCE));

// ---- Swapping the results loses the focus: put it into the filter that opened, else back on the one that was used.
let used = "";

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "results") return;
  const filter = document.activeElement?.closest(".filterbar :is(.filter, .menu)");
  used = filter ? (filter.querySelector("details") ?? filter).id : "";
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.id !== "results" || document.activeElement !== document.body) return;
  const opened = document.querySelector(".filter details[open] input:not([type=hidden])");
  const back = used && (document.getElementById(used) ?? document.getElementById("add-filter"));
  (opened ?? (back ? back.querySelector("summary") : null))?.focus();
});
