// The order of the rules: rows move at once, then the whole order is sent. A second move waits for the first response.
import { announce, isFromPortal } from "../tools.js";
import { body, canEdit, isChecked, isSearched, list, order, ruleName, rules } from "./list-rows.js";

const PAGE_STEP = 10; // rules that Alt+PageUp and Alt+PageDown move by

let sending = null;
let waiting = false;
let stored = null; // the order that the server has, while another is shown
let answer = 0; // the status of the portal's latest response to an order; 0 without one

/** Send the order that is shown, and again while it changes; return whether it was stored. */
async function send() {
  const rows = body();
  rows.setAttribute("aria-busy", "true");
  do {
    waiting = false;
    answer = 0;
    const values = { order: order(), revision: document.querySelector("#policy-state [name=revision]").value };
    await htmx.ajax("POST", list().dataset.orderUrl, { source: "#policy-state", target: "#policy-state", swap: "outerHTML", values }).catch(() => {});
    if (answer === 200) stored = values.order;
  } while (answer === 200 && waiting);
  // The failure has been reported, and a conflict replaces the rows. Those that stayed moved would not be saved so.
  if (answer !== 200 && body() === rows) show(stored);
  rows.removeAttribute("aria-busy");
  [sending, stored] = [null, null];
  return answer === 200;
}
window.addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); });

/** Put the rows in the order of the ids in `wanted`, and store it. */
export function place(wanted) {
  stored ??= order();
  show(wanted);
  waiting = true;
  sending ??= send();
}

function show(wanted) {
  const rows = new Map(rules().map((row) => [row.dataset.id, row]));
  const focused = document.activeElement;
  // From the bottom, and only rows that are out of place: the browser lays out again every row that is touched.
  let below = body().querySelector("tr.default");
  for (const id of [...wanted].reverse()) {
    const row = rows.get(id);
    if (row.nextElementSibling !== below) body().insertBefore(row, below);
    below = row;
  }
  if (body().contains(focused)) { focused.focus(); focused.scrollIntoView({ block: "nearest" }); }
  [...body().rows].forEach((row, index) => {
    const cell = row.querySelector(".priority");
    if (cell.textContent !== String(index + 1)) cell.textContent = index + 1;
  });
}

/** Return the ids after the `chosen` ones move `steps` up (negative) or down; those at the end stay. */
function stepped(all, chosen, steps) {
  const row = steps < 0 ? [...all] : [...all].reverse();
  for (let step = 0; step < Math.abs(steps); step += 1) {
    for (let at = 1; at < row.length; at += 1) {
      if (chosen.has(row[at]) && !chosen.has(row[at - 1])) [row[at - 1], row[at]] = [row[at], row[at - 1]];
    }
  }
  return steps < 0 ? row : row.reverse();
}

/** Return the whole order with the `moved` ids beside the rule that `shown`, the new order of the shown, has beside them. */
function aroundShown(shown, moved, steps) {
  const rest = order().filter((id) => !moved.has(id));
  const row = steps < 0 ? [...shown].reverse() : shown;
  row.forEach((id, at) => {
    // What moved has passed at least one shown rule.
    if (moved.has(id)) rest.splice(rest.indexOf(row[at - 1]) + (steps < 0 ? 0 : 1), 0, id);
  });
  return rest;
}

/** Move the `chosen` rows by `steps`, relative to the rules that are shown. */
export function move(chosen, steps) {
  if (!chosen.length || !canEdit()) return;
  const ids = new Set(chosen.map((row) => row.dataset.id));
  const shown = rules().filter((row) => !row.hidden).map((row) => row.dataset.id);
  const after = stepped(shown, ids, steps);
  if (after.join("\n") === shown.join("\n")) { announce(steps < 0 ? "Already at the top" : "Already at the bottom"); return; }
  // Those at the end have not moved: hidden rules may lie between them and the next shown one.
  const moved = new Set(after.filter((id, at) => ids.has(id) && id !== shown[at]));
  place(isSearched() ? aroundShown(after, moved, steps) : after);
  announcePositions(chosen);
}

/** Move the `chosen` rows to the top (-1) or the bottom (1) of the whole list, in their order. */
export function moveToEnd(chosen, end) {
  if (!chosen.length || !canEdit()) return;
  const ids = new Set(chosen.map((row) => row.dataset.id));
  const rest = order().filter((id) => !ids.has(id));
  const own = order().filter((id) => ids.has(id));
  const after = end < 0 ? [...own, ...rest] : [...rest, ...own];
  if (after.join("\n") === order().join("\n")) { announce(end < 0 ? "Already at the top" : "Already at the bottom"); return; }
  place(after);
  chosen[0].scrollIntoView({ block: "nearest" });
  announcePositions(chosen);
}

/** Announce where the `chosen` rows are now. */
export function announcePositions(chosen) {
  const total = rules().length;
  const where = (row) => `${ruleName(row)} moved to priority ${row.querySelector(".priority").textContent} of ${total}`;
  announce(chosen.length === 1 ? where(chosen[0]) : `${chosen.length} rules moved. ${where(chosen[0])}`);
}

const STEPS = { ArrowUp: -1, ArrowDown: 1, PageUp: -PAGE_STEP, PageDown: PAGE_STEP };
const ENDS = { Home: -1, End: 1 };

document.addEventListener("keydown", (event) => {
  const row = event.target.closest?.("#rule-rows tr.rule");
  if (!row || !event.altKey || !(event.key in STEPS || event.key in ENDS)) return;
  event.preventDefault();
  const chosen = isChecked(row) ? rules().filter(isChecked) : [row];
  if (event.key in STEPS) move(chosen, STEPS[event.key]);
  else moveToEnd(chosen, ENDS[event.key]);
});

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.requestConfig.path !== list()?.dataset.orderUrl) return;
  answer = isFromPortal(detail.xhr.getResponseHeader("Vary")) ? detail.xhr.status : 0; // a proxy's 200 stores nothing
});

// Other requests wait until the order is stored: they need the draft's new revision. A change that was meant to follow a
// move that failed is not made.
document.addEventListener("htmx:confirm", (event) => {
  if (!sending || event.detail.path === list()?.dataset.orderUrl) return;
  event.preventDefault();
  sending.then((isStored) => { if (isStored || event.detail.verb === "get") event.detail.issueRequest(true); });
});
