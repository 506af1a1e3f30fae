// The panel of one rule: builder, allow list, cloud scope, and the server's check while typing.
import { showEffect } from "./rule-effect.js";
import { listFor } from "./rule-values.js";
import { csrfToken, say } from "./tools.js";

const CHECK_AFTER = 150; // ms without a keystroke

let form = null;
let pristine = "";
let timer = 0;
let asked = 0;
let key = 0;

/** The typed rule as text, to see whether anything was changed. */
const typed = () => new URLSearchParams(new FormData(form)).toString();

// ---- Builder: cards of one property, rows of values (OR); cards are AND
function freshCard(builder) {
  key += 1;
  const card = builder.querySelector("template").content.cloneNode(true).querySelector("[data-condition]");
  for (const field of card.querySelectorAll("[name]")) field.name = field.name.replace(".CARD.", `.new${key}.`);
  return card;
}

function addRow(builder, card) {
  key += 1;
  const row = freshCard(builder).querySelector("[data-row]");
  const prefix = card.querySelector(".property").name.replace(/property$/, `new${key}`);
  row.querySelector(".operator").name = `${prefix}.operator`;
  row.querySelector(".value").name = `${prefix}.value`;
  card.append(row);
  return row;
}

function removeRow(card, row) {
  const neighbour = row.previousElementSibling?.matches("[data-row]") ? row.previousElementSibling : row.nextElementSibling;
  const builder = card.closest(".builder");
  row.remove();
  if (!card.querySelector("[data-row]")) card.remove();
  (neighbour?.querySelector(".value") ?? builder.querySelector(".add-condition")).focus();
}

const STEPS = {
  "add-condition": (button, builder) => {
    const card = freshCard(builder);
    builder.querySelector("[data-conditions]").append(card);
    card.querySelector(".property").focus();
  },
  "add-value": (button, builder) => addRow(builder, button.closest("[data-condition]")).querySelector(".value").focus(),
  "remove-value": (button) => removeRow(button.closest("[data-condition]"), button.closest("[data-row]")),
  "clear": (button, builder) => {
    builder.querySelector("[data-conditions]").replaceChildren();
    builder.querySelector(".add-condition").focus();
  },
  "remove-entry": (button) => {
    const entry = button.closest("[data-entry]");
    const next = entry.nextElementSibling ?? entry.previousElementSibling;
    entry.remove();
    next?.querySelector("input").focus();
  },
};

/** Some properties know only "equals"; the builder offers nothing else for them. */
function fitOperators(card) {
  const onlyEquals = card.closest(".builder").dataset.equalsOnly.split(" ").includes(card.querySelector(".property").value);
  for (const select of card.querySelectorAll(".operator")) {
    if (onlyEquals) select.value = "equals";
    for (const option of select.options) option.disabled = onlyEquals && option.value !== "equals";
  }
  for (const input of card.querySelectorAll(".value")) input.setAttribute("list", listFor(card.querySelector(".property").value));
}

// ---- Allow list: the last input is always empty; one with text gets its trash
function trailEntry() {
  const entries = form.querySelector("#entries");
  const last = entries.lastElementChild;
  if (!last || last.querySelector("input").value) {
    const next = (last ?? entries).cloneNode(true);
    next.querySelector("input").value = "";
    next.querySelector("input").removeAttribute("aria-invalid");
    next.querySelector(".fault").textContent = "";
    entries.append(next);
  }
  [...entries.children].forEach((entry, index, all) => {
    const button = entry.querySelector("button");
    const text = entry.querySelector("input").value;
    button.hidden = index === all.length - 1;
    button.setAttribute("aria-label", `Remove ${text || "empty entry"}`);
    warnOfName(entry, index, text);
    entry.querySelector("input").setAttribute("aria-label", index === all.length - 1 ? "Another process" : `Process ${index + 1}`);
  });
}

/** A file name alone says nothing of where the file lies or what is in it. */
function warnOfName(entry, index, text) {
  const isName = text !== "" && !text.startsWith("/") && !text.startsWith("sha256:");
  const warning = entry.querySelector(".name-only");
  warning.id = `name-only-${index}`;
  warning.hidden = !isName;
  if (isName) entry.querySelector("input").setAttribute("aria-describedby", warning.id);
  else entry.querySelector("input").removeAttribute("aria-describedby");
}

// ---- Cloud scope: the estate's environments are fetched once the list opens; what the rule names stays ticked
async function growTree(details) {
  if (!details.dataset.treeUrl || details.dataset.grown) return;
  details.dataset.grown = "true";
  const answer = await fetch(details.dataset.treeUrl, { headers: { "HX-Request": "true" } });
  const tree = document.createElement("ul");
  tree.innerHTML = answer.ok ? await answer.text() : "";
  if (!tree.querySelector("input[name=scope]")) return; // the three providers stay
  const nodes = details.querySelector("#scope-nodes");
  const chosen = new Map([...nodes.querySelectorAll("input:checked")].map((box) => [box.value, box.closest("li")]));
  for (const box of tree.querySelectorAll("input[name=scope]")) box.checked = chosen.delete(box.value);
  for (const [value, item] of chosen) keepUnknown(tree, value, item);
  tree.id = nodes.id;
  nodes.replaceWith(tree);
  filterBox(tree);
  impliedBy(tree);
}

/** An account that the rule names and the estate does not have goes below its provider. */
function keepUnknown(tree, value, item) {
  const group = tree.querySelector(`input[name=scope][value="${value.split(":")[0]}"]`).closest("li");
  if (!group.querySelector("ul")) group.append(document.createElement("ul"));
  group.querySelector("ul").append(item);
}

/** A search box over a tree with many environments. */
function filterBox(tree) {
  if (tree.querySelectorAll("input[name=scope]").length < 12) return;
  const box = document.createElement("input");
  box.type = "search";
  box.className = "input scope-filter";
  box.placeholder = "Search environments";
  box.setAttribute("aria-label", "Search environments");
  box.addEventListener("input", (event) => {
    event.stopPropagation();
    const wanted = box.value.trim().toLowerCase();
    for (const item of tree.querySelectorAll("li")) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  });
  tree.before(box);
}

/** A ticked provider includes its environments: their boxes say so and cannot be changed. */
function impliedBy(tree) {
  for (const box of tree.querySelectorAll("input[name=scope]")) {
    if (!box.value.includes(":")) continue;
    const provider = tree.querySelector(`input[name=scope][value="${box.value.split(":")[0]}"]`);
    box.disabled = provider?.checked ?? false;
  }
}

// ---- The server's check: the same rules as Apply, so the panel never disagrees with it
async function check() {
  asked += 1;
  const mine = asked;
  const here = form;
  const answer = await fetch(here.dataset.checkUrl, { method: "POST", body: new FormData(here), headers: { "X-CSRFToken": csrfToken() } });
  if (!answer.ok || mine !== asked || here !== form) return;
  const { faults, words, cloud_scope: scope } = await answer.json();
  showFaults(faults);
  form.querySelector("#scope-summary").textContent = scope;
  form.querySelector("#words").textContent = words;
  showEffect(here, Object.keys(faults).length === 0);
  const apply = form.querySelector("#apply");
  if (apply) apply.disabled = Object.keys(faults).length > 0;
}

function showFault(control, holder, text) {
  if (holder) holder.textContent = text ?? "";
  if (!control) return;
  if (control.matches("details")) control.querySelector("summary").toggleAttribute("data-invalid", Boolean(text));
  else if (text) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
}

function showFaults(faults) {
  for (const control of form.querySelectorAll("[data-field]")) {
    const holder = control.closest(".control").querySelector(":scope > .fault");
    showFault(control, holder, faults[control.dataset.field]);
  }
  for (const builder of form.querySelectorAll("[data-builder]")) showBuilderFaults(builder, faults);
  const filled = [...form.querySelectorAll("[data-entry]")].filter((entry) => entry.querySelector("input").value);
  filled.forEach((entry, index) => showFault(entry.querySelector("input"), entry.querySelector(".fault"), faults[`allow_list[${index}]`]));
  form.querySelector("[data-entries-fault]").textContent = faults.allow_list ?? "";
}

function showBuilderFaults(builder, faults) {
  const scope = builder.dataset.builder;
  const cards = builder.querySelectorAll("[data-condition]");
  cards.forEach((card, at) => card.querySelectorAll("[data-row]").forEach((row, index) => {
    const path = `${scope}[${at}].any_of[${index}]`;
    showFault(row.querySelector(".value"), row.querySelector(".fault"), faults[`${path}.value`] ?? faults[`${path}.operator`]);
  }));
  builder.querySelector("[data-builder-fault]").textContent = faults[scope] ?? "";
  builder.querySelector(".clear").hidden = cards.length === 0;
}

function changed() {
  trailEntry();
  clearTimeout(timer);
  timer = setTimeout(check, CHECK_AFTER);
}

// ---- Wiring
function adopt() {
  const found = document.getElementById("rule-form");
  if (!found || found === form) return;
  form = found;
  const apply = form.querySelector("#apply");
  for (const card of form.querySelectorAll("[data-condition]")) fitOperators(card);
  trailEntry();
  const details = form.querySelector(".scope");
  details.addEventListener("toggle", () => { if (details.open) growTree(details); });
  impliedBy(form.querySelector("#scope-nodes"));
  const isFine = form.querySelector(".fault:not(:empty)") === null;
  if (apply) apply.disabled = !isFine;
  pristine = typed();
  showEffect(form, isFine);
}

document.addEventListener("click", (event) => {
  if (!form?.contains(event.target)) return;
  const details = form.querySelector(".scope");
  if (details.open && !details.contains(event.target)) details.open = false;
  const button = event.target.closest("[data-step]");
  if (!button) return;
  event.preventDefault();
  STEPS[button.dataset.step](button, button.closest(".builder"));
  for (const card of form.querySelectorAll("[data-condition]")) fitOperators(card);
  changed();
});
document.addEventListener("input", (event) => { if (form?.contains(event.target)) changed(); });
document.addEventListener("change", (event) => {
  if (!form?.contains(event.target)) return;
  if (event.target.matches(".property")) fitOperators(event.target.closest("[data-condition]"));
  if (event.target.name === "scope") impliedBy(form.querySelector("#scope-nodes"));
  changed();
});
// Enter in a field must not apply what is not valid yet. In the capture phase: before htmx.
document.addEventListener("submit", (event) => {
  if (event.target !== form || !form.querySelector("#apply")?.disabled) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  say("The rule is not complete");
  form.querySelector("[aria-invalid=true], summary[data-invalid]")?.focus();
}, true);

// Escape closes an open cloud scope first, then the panel; typed changes are not thrown away unasked.
document.addEventListener("panel:closing", (event) => {
  if (!form?.isConnected || !event.target.contains(form)) return;
  const details = form.querySelector(".scope");
  if (details.open) {
    details.open = false;
    details.querySelector("summary").focus();
    event.preventDefault();
  } else if (typed() !== pristine && form.querySelector("#apply") && !window.confirm("Discard what you typed in this rule?")) {
    event.preventDefault();
  }
});

document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "panel") adopt(); });
adopt();
