// The list of rules: selection and search.
import { announce } from "../tools.js";
import { makeDraggable } from "./drag.js";
import { body, checkbox, isChecked, list, order, ruleName, rules } from "./list-rows.js";
import { move, moveToEnd } from "./order.js";

// ---- Selection, and which commands it enables
function sync() {
  const boxes = body().querySelectorAll("td.select input:checked");
  const chosen = boxes.length;
  const movable = body().querySelectorAll("tr.rule td.select input:checked").length;
  for (const row of body().querySelectorAll("tr.selected")) row.classList.toggle("selected", isChecked(row));
  for (const box of boxes) box.closest("tr").classList.add("selected");
  for (const command of document.querySelectorAll("#rules [data-needs]")) {
    const ready = command.dataset.needs === "one" ? chosen === 1 : movable > 0 && movable === chosen;
    command.toggleAttribute("data-ready", ready);
    command.disabled = !ready;
  }
  const shown = rules().filter((row) => !row.hidden);
  const all = document.getElementById("select-all");
  all.checked = shown.length > 0 && shown.every(isChecked);
  all.indeterminate = movable > 0 && !all.checked;
  const { dirty, needsApprover } = document.getElementById("policy-state").dataset;
  const save = document.getElementById("save");
  if (save) save.disabled = dirty !== "true";
  // Admins have both: each change decides whether it needs a second person.
  const propose = document.getElementById("propose");
  if (propose) [save.hidden, propose.hidden] = [needsApprover === "true", needsApprover !== "true"];
}

function select(row, on = true, alone = true) {
  if (alone) for (const other of body().rows) checkbox(other).checked = false;
  checkbox(row).checked = on;
  sync();
}

function openPanel(row) {
  const link = row.querySelector(".name a");
  htmx.ajax("GET", link.href, { source: link, target: "#panel", swap: "innerHTML" });
}

// With Shift: every row from the last one chosen gets the state of the clicked box.
let anchor = null;

function selectRange(row, on) {
  const shown = rules().filter((each) => !each.hidden);
  const from = shown.findIndex((each) => each.dataset.id === anchor);
  const to = shown.indexOf(row);
  if (from < 0 || to < 0) { select(row, on, false); return; }
  for (const each of shown.slice(Math.min(from, to), Math.max(from, to) + 1)) checkbox(each).checked = on;
  sync();
}

document.addEventListener("mousedown", (event) => {
  // Without this the browser selects the text between the two rows.
  if (event.shiftKey && event.target.closest("#rule-rows tr") && !event.target.closest("a")) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const row = event.target.closest("#rule-rows tr");
  const box = event.target.closest("#rule-rows td.select input");
  if (box && event.shiftKey) selectRange(row, box.checked);
  if (box) anchor = row.dataset.id;
  if (event.target.closest("#edit")) {
    event.preventDefault();
    openPanel([...body().rows].find(isChecked));
  } else if (event.target.closest("[data-move]")) {
    event.preventDefault();
    move(rules().filter(isChecked), Number(event.target.closest("[data-move]").dataset.move));
  } else if (event.target.closest("[data-move-to]")) {
    event.preventDefault();
    moveToEnd(rules().filter(isChecked), Number(event.target.closest("[data-move-to]").dataset.moveTo));
  } else if (event.target.id === "select-all") {
    for (const each of rules()) checkbox(each).checked = event.target.checked && !each.hidden;
    sync();
  } else if (row && event.target.closest("a[data-panel]") && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    select(row);
    openPanel(row);
  } else if (row && event.shiftKey && !event.target.closest("a, button, input")) {
    selectRange(row, true);
    anchor = row.dataset.id;
  } else if (row && !event.target.closest("a, button, input")) {
    anchor = row.dataset.id;
    select(row, !isChecked(row) || event.detail > 1, !event.ctrlKey && !event.metaKey);
  }
});
document.addEventListener("dblclick", (event) => {
  const row = event.target.closest("#rule-rows tr");
  if (row && !event.target.closest("a, button, input")) openPanel(row);
});
document.addEventListener("change", (event) => { if (event.target.closest("#rule-rows")) sync(); });

// ---- Search: hides rows here; without JavaScript the server filters
/** The searched string of a row: rule name, cloud scope and scope name, without badges. */
const searched = (row) => `${ruleName(row)}\n${row.cells[5].textContent}\n${row.cells[6].textContent}`.toLowerCase();

function search() {
  const box = document.getElementById("search");
  const wanted = box.value.trim().toLowerCase();
  let found = 0;
  for (const row of body().rows) {
    row.hidden = wanted !== "" && !searched(row).includes(wanted);
    if (row.hidden && isChecked(row)) checkbox(row).checked = false;
    if (!row.hidden) found += 1;
  }
  document.getElementById("no-match").hidden = found > 0;
  list().classList.toggle("searched", wanted !== "");
  document.getElementById("search-note").hidden = wanted === "";
  sync();
  return { wanted, found };
}
document.addEventListener("input", (event) => {
  if (event.target.id !== "search") return;
  const { wanted, found } = search();
  announce(wanted ? `${found} of ${body().rows.length} rules shown` : "All rules shown");
});
document.addEventListener("submit", (event) => { if (event.target.id === "search-form") event.preventDefault(); });

// ---- A press on a handle selects its rule.
// In the capture phase, before Sortable: it remembers which boxes are checked at the press, and checks them again on the drop.
document.addEventListener("pointerdown", (event) => {
  const row = event.target.closest("#rule-rows .handle")?.closest("tr");
  if (row && !isChecked(row)) select(row);
}, true);

// ---- The list is replaced after every command: bind again, keep search and selection, show what is new
let query = document.getElementById("search").value;
let before = { known: new Set(order()), chosen: new Set() };

let newest = null; // the first rule that the latest change added

function bind() {
  makeDraggable();
  document.getElementById("search").value = query;
  const added = rules().filter((row) => !before.known.has(row.dataset.id));
  const wanted = list().dataset.selected && JSON.parse(list().dataset.selected); // by the server: the user's own rules, after a rebase
  const isChosen = (row) => (wanted ? wanted.includes(row.dataset.id) : added.length ? added.includes(row) : before.chosen.has(row.dataset.id));
  for (const row of rules()) checkbox(row).checked = isChosen(row);
  search();
  const [first] = added;
  first?.scrollIntoView({ block: "nearest" });
  newest = first?.dataset.id;
  if (document.activeElement === document.body) (first?.querySelector(".name a") ?? document.getElementById("main")).focus();
}

// A panel returns the focus to what opened it; after *Apply* a new rule is what the user goes on with.
document.addEventListener("panel:closed", () => {
  document.getElementById(`open-${newest}`)?.focus();
  newest = null;
});

document.addEventListener("htmx:beforeSwap", () => {
  query = document.getElementById("search").value;
  before = { known: new Set(order()), chosen: new Set(rules().filter(isChecked).map((row) => row.dataset.id)) };
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "policy") bind();
  else if (event.detail.target.id === "policy-state") sync();
});
bind();
