// Dragging rules: the source row stays in place, a ghost follows the pointer, a line shows the gap.
// At the edge of the window the list scrolls, the faster the nearer: its other end is never more than two seconds away.
import Sortable from "../../vendor/sortable.esm.js";
import { body, canEdit, checkbox, isChecked, order, rules } from "./list-rows.js";
import { announcePositions, place } from "./order.js";

const EDGE = 90; // px from the edge of the window where scrolling begins
const WHOLE_LIST = 1.2; // seconds from end to end at full speed
const LEAST_SPEED = 300; // px per second

let gap = null;
let dragged = null;
let pointer = { x: 0, y: 0 };
let sortable = null;
let scrolledAt = 0;

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
  scrolledAt = performance.now();
  requestAnimationFrame(scroll);
  const ghost = Sortable.ghost;
  if (!ghost) return;
  const moving = rules().filter((row) => row !== ghost && isChecked(row)).length;
  checkbox(ghost).checked = true;
  checkbox(ghost).name = "";
  if (moving > 1) ghost.querySelector(".name").append(" ", badge(`${moving} rules`));
  [...ghost.cells].forEach((cell, index) => { cell.style.width = `${item.cells[index].offsetWidth}px`; });
}

/** Return the speed in px per second at which the page scrolls with the pointer there; up is negative. */
function speed(y) {
  const top = document.querySelector("#policy .commands").getBoundingClientRect().bottom + EDGE;
  const bottom = document.documentElement.clientHeight - EDGE;
  const depth = y < top ? y - top : Math.max(0, y - bottom);
  const share = Math.max(-1, Math.min(1, depth / EDGE));
  const full = document.documentElement.scrollHeight / WHOLE_LIST;
  return share === 0 ? 0 : Math.sign(share) * Math.max(LEAST_SPEED, full * Math.abs(share) ** 3);
}

function scroll(now) {
  if (!dragged) return;
  window.scrollBy({ top: (speed(pointer.y) * (now - scrolledAt)) / 1000, behavior: "instant" });
  scrolledAt = now;
  requestAnimationFrame(scroll);
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

/** Return the order after the ids in `moving` go to the gap, in their current order; what is hidden stays where it is. */
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

/** Make the rows of the list, which was just replaced, draggable. */
export function makeDraggable() {
  sortable?.destroy();
  sortable = canEdit() ? Sortable.create(body(), {
    draggable: "tr",
    handle: ".handle",
    filter: "tr.default",
    preventOnFilter: false,
    forceFallback: true,
    fallbackTolerance: 4,
    fallbackClass: "drag-ghost",
    ghostClass: "drag-source",
    animation: 0,
    scroll: false, // see scroll()
    onStart: dragStarted,
    onMove: () => false, // the row itself stays: see aim()
    onEnd: dragEnded,
  }) : null;
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
