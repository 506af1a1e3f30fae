// The panel of one rule: builder, allow list, cloud scope, and the server's check while the user types.
import { showEffect } from "./rule-effect.js";
import { showLint } from "./rule-lint.js";
import { pastedEntries } from "./pasted-entries.js";
import { valueListId } from "./rule-values.js";
import { announce, csrfToken, fetchPart } from "../tools.js";

const CHECK_AFTER = 150; // ms without a keystroke

let form = null;
let timer = 0;
let checks = 0;
let isChecked = true; // the errors shown are those of what is typed now
let key = 0;

// ---- Builder: a card per property, a row per value. Rows of a card are joined by OR, cards by AND.
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

/** Disable the operators that the chosen property does not have: some have only "equals". */
function fitOperators(card) {
  const onlyEquals = card.closest(".builder").dataset.equalsOnly.split(" ").includes(card.querySelector(".property").value);
  for (const select of card.querySelectorAll(".operator")) {
    if (onlyEquals) select.value = "equals";
    for (const option of select.options) option.disabled = onlyEquals && option.value !== "equals";
  }
  for (const input of card.querySelectorAll(".value")) input.setAttribute("list", valueListId(card.querySelector(".property").value));
}

// ---- Allow list: the last input is always empty; the others have a Remove button
function keepEmptyEntry() {
  const entries = form.querySelector("#entries");
  const last = entries.lastElementChild;
  if (!last || last.querySelector("input").value) {
    const next = (last ?? entries).cloneNode(true);
    next.querySelector("input").value = "";
    next.querySelector("input").removeAttribute("aria-invalid");
    next.querySelector(".field-error").textContent = "";
    next.querySelector("[data-lint]").hidden = true;
    entries.append(next);
  }
  [...entries.children].forEach((entry, index, all) => {
    const button = entry.querySelector("button");
    const text = entry.querySelector("input").value;
    button.hidden = index === all.length - 1;
    button.setAttribute("aria-label", `Remove ${text || "empty entry"}`);
    warnOnBareName(entry, index, text);
    entry.querySelector("input").setAttribute("aria-label", index === all.length - 1 ? "Another process" : `Process ${index + 1}`);
  });
}

/** Put a pasted list in entries of its own, from the one that it was pasted in; what is listed already is left out. */
function pasteEntries(input, values) {
  const entries = form.querySelector("#entries");
  const known = new Set([...entries.querySelectorAll("input")].filter((each) => each !== input).map((each) => each.value));
  const fresh = values.filter((value) => !known.has(value));
  fresh.forEach((value, index) => {
    if (index > 0) keepEmptyEntry();
    const target = index === 0 ? input : entries.lastElementChild.querySelector("input");
    target.value = value;
  });
  changed();
  entries.lastElementChild.querySelector("input").focus();
  announce(`${fresh.length} processes pasted`);
}

/** Warn about an entry that is only a file name: anyone who writes a file can choose it. */
function warnOnBareName(entry, index, text) {
  const isName = text !== "" && !/^(\/|glob:\/|sha256:)/.test(text);
  const warning = entry.querySelector(".name-only");
  warning.id = `name-only-${index}`;
  warning.hidden = !isName;
  if (isName) entry.querySelector("input").setAttribute("aria-describedby", warning.id);
  else entry.querySelector("input").removeAttribute("aria-describedby");
}

// ---- Cloud scope: the estate's environments are fetched when the list first opens; what the rule names stays checked
async function growTree(details) {
  if (!details.dataset.treeUrl || details.dataset.grown) return;
  details.dataset.grown = "true";
  const response = await fetchPart(details.dataset.treeUrl);
  const tree = document.createElement("ul");
  tree.innerHTML = response ? await response.text() : "";
  if (!tree.querySelector("input[name=scope]")) { // keep the three providers, and try again when the list opens again
    delete details.dataset.grown;
    return;
  }
  const nodes = details.querySelector("#scope-nodes");
  addEnvironments(nodes, tree);
  addFilterBox(nodes);
  addTwisties(nodes);
  showImplied(nodes);
}

/** Add the estate's environments below the providers. Their boxes stay: one may have the focus, or be under the pointer. */
function addEnvironments(nodes, tree) {
  const focused = document.activeElement.value;
  const hadFocus = nodes.contains(document.activeElement);
  for (const item of [...tree.children]) {
    const provider = nodes.querySelector(`input[name=scope][value="${item.querySelector("input").value}"]`)?.closest("li");
    const [branch, known] = [item, provider].map((each) => each?.querySelector("ul"));
    if (!provider) nodes.append(item);
    else if (branch && known) { keepChosen(known, branch); known.replaceWith(branch); }
    else if (branch) provider.append(branch);
  }
  if (hadFocus && !nodes.contains(document.activeElement)) boxOf(nodes, focused)?.focus();
}

const boxOf = (list, value) => [...list.querySelectorAll("input[name=scope]")].find((box) => box.value === value);

/** Check in `branch` the accounts that the rule names, and add those that the estate does not have. */
function keepChosen(known, branch) {
  for (const box of known.querySelectorAll("input[name=scope]")) {
    const same = boxOf(branch, box.value);
    if (same) keepState(box, same);
    else branch.append(box.closest("li"));
  }
}

/** Check, disable and remember in `same` what `box` does: the provider of both may include them. */
function keepState(box, same) {
  same.checked = box.checked;
  same.disabled = box.disabled;
  if ("own" in box.dataset) same.dataset.own = box.dataset.own;
}

/** Add a search box above a tree with many environments. */
function addFilterBox(tree) {
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
    for (const twisty of tree.querySelectorAll(".twisty")) expand(twisty, twisty.parentElement.querySelector("ul"), wanted !== "");
  });
  tree.before(box);
}

/** Show the environments of a checked provider checked and disabled: it includes them. Unchecked, it leaves each as it was. */
function showImplied(tree) {
  for (const box of tree.querySelectorAll("input[name=scope]")) {
    if (!box.value.includes(":")) continue;
    const provider = tree.querySelector(`input[name=scope][value="${box.value.split(":")[0]}"]`);
    const isImplied = provider?.checked ?? false;
    if (isImplied === box.disabled) continue;
    if (isImplied) box.dataset.own = box.checked;
    box.checked = isImplied || box.dataset.own === "true";
    box.disabled = isImplied;
  }
}

/** Let each provider with environments be expanded; at first those are whose environments the rule names. */
function addTwisties(tree) {
  for (const branch of tree.querySelectorAll(":scope > li > ul")) {
    const provider = branch.parentElement.querySelector("label");
    const twisty = document.createElement("button");
    twisty.type = "button";
    twisty.className = "twisty";
    twisty.setAttribute("aria-label", `Environments of ${provider.textContent.trim()}`);
    provider.before(twisty);
    expand(twisty, branch, branch.querySelector("input:checked") !== null);
    twisty.addEventListener("click", () => expand(twisty, branch, branch.hidden));
  }
}

function expand(twisty, branch, isOpen) {
  branch.hidden = !isOpen;
  twisty.setAttribute("aria-expanded", String(isOpen));
}

// ---- The server's check: the same validation as Apply, so that the panel never disagrees with it
async function check() {
  const mine = checks;
  const here = form;
  const response = await fetchPart(here.dataset.checkUrl, { method: "POST", body: new FormData(here), headers: { "X-CSRFToken": csrfToken() } });
  // Ignore a response that what was typed since, or another panel, has overtaken.
  if (mine !== checks || here !== form) return;
  const apply = form.querySelector("#apply");
  if (!response) {
    // Apply checks it too: without an answer here it must not stay disabled.
    if (apply) apply.disabled = false;
    form.querySelector("#words").textContent = "Not checked. Apply checks it.";
    showEffect(here, false);
    return;
  }
  isChecked = true;
  const { errors, lint, words, cloud_scope: scope } = await response.json();
  showErrors(errors);
  showLint(form, lint);
  form.querySelector("#scope-summary").textContent = scope;
  form.querySelector("#words").textContent = words;
  showEffect(here, Object.keys(errors).length === 0);
  if (apply) apply.disabled = Object.keys(errors).length > 0;
}

function showFieldError(control, holder, text) {
  if (holder) holder.textContent = text ?? "";
  if (!control) return;
  if (control.matches("details")) control.querySelector("summary").toggleAttribute("data-invalid", Boolean(text));
  else if (text) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
}

function showErrors(errors) {
  for (const control of form.querySelectorAll("[data-field]")) {
    const holder = control.closest(".control").querySelector(":scope > .field-error");
    showFieldError(control, holder, errors[control.dataset.field]);
  }
  for (const builder of form.querySelectorAll("[data-builder]")) showBuilderErrors(builder, errors);
  const filled = [...form.querySelectorAll("[data-entry]")].filter((entry) => entry.querySelector("input").value.trim());
  filled.forEach((entry, index) => showFieldError(entry.querySelector("input"), entry.querySelector(".field-error"), errors[`allow_list[${index}]`]));
  form.querySelector("[data-entries-error]").textContent = errors.allow_list ?? "";
}

function showBuilderErrors(builder, errors) {
  const scope = builder.dataset.builder;
  const cards = builder.querySelectorAll("[data-condition]");
  cards.forEach((card, at) => card.querySelectorAll("[data-row]").forEach((row, index) => {
    const path = `${scope}[${at}].any_of[${index}]`;
    showFieldError(row.querySelector(".value"), row.querySelector(".field-error"), errors[`${path}.value`] ?? errors[`${path}.operator`]);
  }));
  builder.querySelector("[data-builder-error]").textContent = errors[scope] ?? "";
  builder.querySelector(".clear").hidden = cards.length === 0;
}

function changed() {
  keepEmptyEntry();
  isChecked = false;
  checks += 1;
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
  keepEmptyEntry();
  const details = form.querySelector(".scope");
  details.addEventListener("toggle", () => { if (details.open) growTree(details); });
  showImplied(form.querySelector("#scope-nodes"));
  const isValid = form.querySelector(".field-error:not(:empty)") === null;
  if (apply) apply.disabled = !isValid;
  isChecked = true;
  // Typed before this script was ready: nothing has checked it.
  if (isTouched()) changed();
  else showEffect(form, isValid);
}

/** Whether a field differs from what the server sent. */
function isTouched() {
  return [...form.querySelectorAll("input:not([type=hidden]), textarea, select")].some((field) => {
    if (field.matches("[type=checkbox]")) return !field.disabled && field.checked !== field.defaultChecked;
    if (!field.matches("select")) return field.value !== field.defaultValue;
    const chosen = [...field.options].findIndex((option) => option.defaultSelected);
    return field.selectedIndex !== Math.max(chosen, 0);
  });
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
// The open scope list lies over what follows it: it closes when the focus goes there.
document.addEventListener("focusin", (event) => {
  const details = form?.isConnected && form.querySelector(".scope[open]");
  if (details && !details.contains(event.target)) details.open = false;
});
document.addEventListener("paste", (event) => {
  if (!form?.contains(event.target) || !event.target.matches("[data-entry] input")) return;
  const values = pastedEntries(event.clipboardData.getData("text"));
  if (values.length < 2) return;
  event.preventDefault();
  pasteEntries(event.target, values);
});
document.addEventListener("input", (event) => { if (form?.contains(event.target)) changed(); });
document.addEventListener("change", (event) => {
  if (!form?.contains(event.target)) return;
  if (event.target.matches(".property")) fitOperators(event.target.closest("[data-condition]"));
  if (event.target.name === "scope") showImplied(form.querySelector("#scope-nodes"));
  // Not `changed()`: an input event came before, and Enter changes nothing more, though it too fires this one.
});
// Enter in a field must not apply a rule of which the errors are shown; what was typed since, Apply checks. In the capture phase, so that it runs before htmx.
document.addEventListener("submit", (event) => {
  if (event.target !== form) return;
  const isStep = event.submitter?.name === "step";
  if (isStep || !isChecked || !form.querySelector("#apply")?.disabled) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  announce("The rule has errors");
  form.querySelector("[aria-invalid=true], summary[data-invalid]")?.focus();
}, true);

// Escape closes an open cloud scope first, then the panel (panel-guard.js).
document.addEventListener("panel:closing", (event) => {
  if (!form?.isConnected || !event.target.contains(form)) return;
  const details = form.querySelector(".scope");
  if (details.open) {
    details.open = false;
    details.querySelector("summary").focus();
    event.preventDefault();
  }
});

document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "panel") adopt(); });
adopt();
