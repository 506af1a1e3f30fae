// Suggest values for a rule's conditions: those that the estate has, fetched while the user types.
import { fetchPart } from "../tools.js";

const FETCH_AFTER = 120; // ms without a keystroke
const ESTATE = "estate-values";

let timer = 0;
let requests = 0;

/** Return the id of the datalist with values of a property. */
export const valueListId = (property) => (document.getElementById(`values-${property}`) ? `values-${property}` : ESTATE);

async function suggest(input) {
  const list = document.getElementById(ESTATE);
  const url = input.form?.dataset.valuesUrl;
  if (!list || !url) return;
  requests += 1;
  const mine = requests;
  const property = input.closest("[data-condition]").querySelector(".property").value;
  const response = await fetchPart(`${url}?${new URLSearchParams({ property, typed: input.value })}`);
  if (!response || mine !== requests) return;
  const { values } = await response.json();
  const shown = [...list.options].map((option) => option.value);
  if (shown.join("\n") === values.join("\n")) return; // browsers close a datalist whose options change
  list.replaceChildren(...values.map((value) => Object.assign(document.createElement("option"), { value })));
}

function suggestLater(event, delay) {
  const input = event.target.closest?.("[data-condition] .value");
  if (input?.getAttribute("list") !== ESTATE) return;
  clearTimeout(timer);
  timer = setTimeout(suggest, delay, input);
}

document.addEventListener("focusin", (event) => {
  const input = event.target.closest?.("[data-condition] .value");
  if (input) document.getElementById(ESTATE)?.replaceChildren(); // otherwise another property's values appear for a moment
  suggestLater(event, 0);
});
document.addEventListener("input", (event) => suggestLater(event, FETCH_AFTER));
