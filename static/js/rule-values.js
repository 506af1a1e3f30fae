// Suggestions for a rule's values: what the estate really has, asked for while typing.
const ASK_AFTER = 120; // ms without a keystroke
const KINDS = "kind-values";
const ESTATE = "estate-values";

let timer = 0;
let asked = 0;

/** The id of the list that suggests values of a property. */
export const listFor = (property) => (property === "drift_kind" ? KINDS : ESTATE);

async function suggest(input) {
  const list = document.getElementById(ESTATE);
  const url = input.form?.dataset.valuesUrl;
  if (!list || !url) return;
  asked += 1;
  const mine = asked;
  const property = input.closest("[data-condition]").querySelector(".property").value;
  const answer = await fetch(`${url}?${new URLSearchParams({ property, typed: input.value })}`).catch(() => null);
  if (!answer?.ok || mine !== asked) return;
  const { values } = await answer.json();
  const shown = [...list.options].map((option) => option.value);
  if (shown.join("\n") === values.join("\n")) return; // a list that changes under the reader closes
  list.replaceChildren(...values.map((value) => Object.assign(document.createElement("option"), { value })));
}

function soon(event, delay) {
  const input = event.target.closest?.("[data-condition] .value");
  if (input?.getAttribute("list") !== ESTATE) return;
  clearTimeout(timer);
  timer = setTimeout(suggest, delay, input);
}

document.addEventListener("focusin", (event) => {
  const input = event.target.closest?.("[data-condition] .value");
  if (input) document.getElementById(ESTATE)?.replaceChildren(); // else another property's values show for a moment
  soon(event, 0);
});
document.addEventListener("input", (event) => soon(event, ASK_AFTER));
