// The list of rules: selection, search, order by mouse and keyboard.
import Sortable from "../../vendor/sortable.esm.js";
import { announce } from "../tools.js";

const list = () => document.getElementById("policy");
const body = () => document.getElementById("rule-rows");
const rules = () => [...body().querySelectorAll("tr.rule")];
const checkbox = (row) => row.querySelector("input[type=checkbox]");
const isChecked = (row) => checkbox(row).checked;
const ruleName = (row) => row.querySelector(".name a").textContent;
const order = () => rules().map((row) => row.dataset.id);
const canEdit = () => list().dataset.canEdit === "true";

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
  sortable?.option("disabled", wanted !== "");
  sync();
  return { wanted, found };
}
document.addEventListener("input", (event) => {
  if (event.target.id !== "search") return;
  const { wanted, found } = search();
  announce(wanted ? `${found} of ${body().rows.length} rules shown` : "All rules shown");
});
document.addEventListener("submit", (event) => { if (event.target.id === "search-form") event.preventDefault(); });

// ---- Order: rows move at once, then the whole order is sent. A second move waits for the first response.
let sending = null;
let waiting = false;

async function send() {
  body().setAttribute("aria-busy", "true");
  do {
    waiting = false;
    const values = { order: order(), revision: document.querySelector("#policy-state [name=revision]").value };
    // shell.js has reported a failure; the next move sends the whole order again.
    await htmx.ajax("POST", list().dataset.orderUrl, { source: "#policy-state", target: "#policy-state", swap: "outerHTML", values }).catch(() => {});
  } while (waiting);
  body().removeAttribute("aria-busy");
  sending = null;
}
window.addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); });

function place(wanted) {
  const rows = new Map(rules().map((row) => [row.dataset.id, row]));
  const focused = document.activeElement;
  // From the bottom, and only rows that are out of place: the browser lays out again every row that is touched.
  let below = body().querySelector("tr.default");
  for (const id of [...wanted].reverse()) {
    const row = rows.get(id);
    if (row.nextElementSibling !== below) body().insertBefore(row, below);
    below = row;
  }
  if (body().contains(focused)) focused.focus();
  [...body().rows].forEach((row, index) => {
    const cell = row.querySelector(".priority");
    if (cell.textContent !== String(index + 1)) cell.textContent = index + 1;
  });
  waiting = true;
  sending ??= send();
}

/** Return the order after `chosen` rows move one step up (-1) or down (1); rows at the end stay. */
function stepped(all, chosen, step) {
  const row = step < 0 ? [...all] : [...all].reverse();
  for (let at = 1; at < row.length; at += 1) {
    if (chosen.has(row[at]) && !chosen.has(row[at - 1])) [row[at - 1], row[at]] = [row[at], row[at - 1]];
  }
  return step < 0 ? row : row.reverse();
}

function move(chosen, step) {
  if (!chosen.length || !canEdit()) return;
  if (list().classList.contains("searched")) { announce("Clear the search to move rules"); return; }
  const before = order();
  const after = stepped(before, new Set(chosen.map((row) => row.dataset.id)), step);
  if (after.join("\n") === before.join("\n")) { announce(step < 0 ? "Already at the top" : "Already at the bottom"); return; }
  place(after);
  announcePositions(chosen);
}

function announcePositions(chosen) {
  const total = rules().length;
  const where = (row) => `${ruleName(row)} moved to priority ${row.querySelector(".priority").textContent} of ${total}`;
  announce(chosen.length === 1 ? where(chosen[0]) : `${chosen.length} rules moved. ${where(chosen[0])}`);
}

document.addEventListener("keydown", (event) => {
  const row = event.target.closest?.("#rule-rows tr.rule");
  if (!row || !event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
  event.preventDefault();
  move(isChecked(row) ? rules().filter(isChecked) : [row], event.key === "ArrowUp" ? -1 : 1);
});

// Other requests wait until the order is stored: they need the draft's new revision.
document.addEventListener("htmx:confirm", (event) => {
  if (!sending || event.detail.path === list()?.dataset.orderUrl) return;
  event.preventDefault();
  sending.then(() => event.detail.issueRequest(true));
});

// ---- Dragging: the source row stays in place, a ghost follows the pointer, a line shows the gap
let gap = null;
let dragged = null;
let pointer = { x: 0, y: 0 };
let sortable = null;

// In the capture phase, before Sortable: it remembers which boxes are checked at the press, and checks them again on the drop.
document.addEventListener("pointerdown", (event) => {
  const row = event.target.closest("#rule-rows .handle")?.closest("tr");
  if (row && !isChecked(row)) select(row);
}, true);

function clearGap() {
  for (const row of body().querySelectorAll(".drop-before, .drop-after")) row.classList.remove("drop-before", "drop-after");
  gap = null;
}

function badge(text) {
  const made = document.createElement("span");
  made.className = "badge info";
  made.textContent = text;
  return made;
}

function dragStarted({ item }) {
  dragged = item;
  document.documentElement.classList.add("dragging");
  const ghost = Sortable.ghost;
  if (!ghost) return;
  const moving = rules().filter((row) => row !== ghost && isChecked(row)).length;
  checkbox(ghost).checked = true;
  checkbox(ghost).name = "";
  if (moving > 1) ghost.querySelector(".name").append(" ", badge(`${moving} rules`));
  [...ghost.cells].forEach((cell, index) => { cell.style.width = `${item.cells[index].offsetWidth}px`; });
}

/** Show the gap above or below the row at the pointer; over its own row a rule stays in place. */
function aim() {
  if (!dragged) return;
  const row = document.elementFromPoint(pointer.x, pointer.y)?.closest("#rule-rows tr");
  clearGap();
  if (!row || row === dragged) return;
  const box = row.getBoundingClientRect();
  gap = { row, after: row.classList.contains("rule") && pointer.y > box.top + box.height / 2 };
  row.classList.add(gap.after ? "drop-after" : "drop-before");
}
document.addEventListener("pointermove", (event) => {
  pointer = { x: event.clientX, y: event.clientY };
  aim();
});
document.addEventListener("scroll", aim, true);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !dragged) return;
  clearGap();
  dragged = null;
});

/** Return the order after the ids in `moving` go to the gap, in their current order. */
function dropped(moving, target) {
  const ids = [...order(), "default"];
  const from = ids.indexOf(target.row.dataset.id) + (target.after ? 1 : 0);
  const anchor = ids.slice(from).find((id) => !moving.has(id)) ?? "default";
  const rest = ids.filter((id) => !moving.has(id));
  rest.splice(rest.indexOf(anchor), 0, ...order().filter((id) => moving.has(id)));
  return rest.filter((id) => id !== "default");
}

function dragEnded({ item }) {
  document.documentElement.classList.remove("dragging");
  dragged = null;
  const target = gap;
  clearGap();
  if (!target) return;
  const moving = new Set(rules().filter(isChecked).map((row) => row.dataset.id)).add(item.dataset.id);
  const after = dropped(moving, target);
  if (after.join("\n") === order().join("\n")) return;
  place(after);
  announcePositions(rules().filter((row) => moving.has(row.dataset.id)));
}

function makeSortable() {
  if (!canEdit()) return null;
  return Sortable.create(body(), {
    draggable: "tr",
    handle: ".handle",
    filter: "tr.default",
    preventOnFilter: false,
    forceFallback: true,
    fallbackTolerance: 4,
    fallbackClass: "drag-ghost",
    ghostClass: "drag-source",
    animation: 0,
    scroll: true,
    onStart: dragStarted,
    onMove: () => false, // the row itself stays: see aim()
    onEnd: dragEnded,
  });
}

// ---- The list is replaced after every command: bind again, keep search and selection, show what is new
let query = document.getElementById("search").value;
let before = { known: new Set(order()), chosen: new Set() };

let newest = null; // the first rule that the latest change added

function bind() {
  sortable?.destroy();
  sortable = makeSortable();
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
