// Triage by keyboard, on the list and on one alert: single keys, which can be turned off (WCAG 2.1.4) and do nothing
// while typing. Keys that are pressed while the portal answers are kept, and pressed once it has, unless it refused.
import { announce, isRepeated } from "../tools.js";

const STORED = "alerts-keys";
const PLACE = "alerts-place"; // the list that alerts were opened from: its address, its alerts, and the one in focus
const ABOVE = "alerts-above"; // the same of the list of groups or incidents that one was opened from
const UNDO = "alerts-undo"; // what can be undone in this tab, latest last
const MOST_UNDO = 20;
const PATIENCE = 30_000; // ms that keys are kept

const on = () => localStorage.getItem(STORED) !== "off";
const remembered = (name, fallback) => JSON.parse(sessionStorage.getItem(name) ?? "null") ?? fallback;
const remember = (name, value) => sessionStorage.setItem(name, JSON.stringify(value));
const address = () => location.pathname + location.search;
const onList = () => document.getElementById("results") !== null;
const panel = () => document.querySelector("#panel > dialog[open]");

// ---- Waiting for the portal
let waiting = 0;
let awaited = ""; // the event, or the id of the element, that ends the wait; a panel always does
const kept = [];

function wait(until = "alerts:reloaded") {
  clearTimeout(waiting);
  waiting = setTimeout(drop, PATIENCE);
  awaited = until;
}
function proceed() {
  clearTimeout(waiting);
  waiting = 0;
  while (kept.length && !waiting) press(kept.shift());
}
/** End the wait without the keys that were kept: they are not for what a refused change leaves open. */
function drop() {
  if (kept.length) announce("Keys pressed meanwhile are ignored.");
  kept.length = 0;
  proceed();
}

// ---- The list: its rows are alerts, incidents or groups
const rows = () => [...document.querySelectorAll("#alerts tbody tr:not(.execs)")].filter((row) => row.querySelector("a"));
const here = () => document.activeElement?.closest("#alerts tbody tr:not(.execs)");
const box = (row) => row?.querySelector('[name="alert"]');
const chosen = () => document.querySelector('#alerts [name="alert"]:checked, #everything [name="alert"]');
let anchor = ""; // the row that was selected last, where a range starts
let taken = null; // the row that a key selected because nothing was

function focusRow(row) {
  row?.querySelector("a").focus();
  row?.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(here());
  focusRow(all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step))]);
}

function select(row, checked) {
  if (box(row) && box(row).checked !== checked) box(row).click();
}

async function toggle() {
  const row = here();
  if (!row) return;
  anchor = row.id;
  if (box(row)) select(row, !box(row).checked);
  else await selectGroup(row);
}

function selectRange() {
  const all = rows();
  if (all.length && !all.some(box)) { announce("Groups are selected one at a time."); return; }
  const [from, to] = [all.findIndex((row) => row.id && row.id === anchor), all.indexOf(here())];
  if (to < 0) return;
  const start = from < 0 ? to : from;
  for (const row of all.slice(Math.min(start, to), Math.max(start, to) + 1)) select(row, true);
  announce(`${document.querySelectorAll('#alerts [name="alert"]:checked').length} selected`);
}

/** Select all on this page; once they are, all that match; at once where the rows are groups. */
async function selectAll() {
  if (rows().length && !rows().some(box)) { await selectMatching(location.search); return; }
  const all = document.querySelector("[data-select-all]");
  const more = document.querySelector("#select-everything:not([hidden]) button");
  if (all?.checked) more?.click();
  else all?.click();
}

function selectNone() {
  for (const row of rows()) select(row, false);
  document.getElementById("everything")?.replaceChildren();
  document.body.dispatchEvent(new Event("alerts:selected"));
}

/** Select every alert of a group, at the revisions that they have now. */
const selectGroup = (row) => selectMatching(new URL(row.querySelector("a").href).search);

async function selectMatching(query) {
  await window.htmx.ajax("GET", `/alerts/selection/${query}`, { target: "#everything", swap: "innerHTML" });
  announce(document.querySelector("#everything p")?.textContent ?? "");
}

/** Select the row in focus, unless something is selected; return whether anything is. */
async function choose() {
  taken = null;
  if (!chosen()) {
    taken = here();
    await toggle();
  }
  return chosen() !== null;
}

// ---- Where the focus goes once the list has changed: to the same row, or to the one that took its place
let place = null;

function note() {
  const row = here();
  if (row) place = { id: row.id, index: rows().indexOf(row) };
}
function settle() {
  if (!place) return;
  const all = rows();
  const row = all.find((each) => each.id && each.id === place.id) ?? all[Math.min(place.index, all.length - 1)];
  place = null;
  if (row) focusRow(row);
  else document.getElementById("results").focus();
}
document.addEventListener("htmx:afterSettle", (event) => {
  const { id } = event.detail.target;
  if (event.detail.xhr?.status >= 400) drop(); // a conflict, or what is not valid
  if (id === "results" && !panel()) settle();
  if (id === "panel" || id === awaited) proceed();
});
document.body.addEventListener("alerts:reloaded", ({ detail: { isShown } }) => {
  if (!panel()) settle();
  if (awaited !== "alerts:reloaded") return;
  if (isShown) proceed();
  else drop();
});
// Rows that are loaded again while one of them has the focus.
document.addEventListener("htmx:beforeSwap", (event) => { if (event.detail.target.id === "results" && !place) note(); });
// A panel that is cancelled changes nothing: neither the focus nor the selection.
document.addEventListener("panel:closing", () => setTimeout(() => {
  if (panel() || !onList()) return;
  select(taken, false);
  if (taken && !box(taken)) selectNone();
  settle();
}));
// One alert is shown anew after each change: the focus stays in it.
let wasInside = false;
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id === "alert-body") wasInside = event.detail.target.contains(document.activeElement);
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.id !== "alert-body" || !wasInside || document.activeElement !== document.body) return;
  (document.querySelector("#alert-status > summary") ?? document.querySelector(".alert-tabs .tabs [aria-current]"))?.focus();
});
/** Whether no key is behind a request: a poll, or a reload, which says by itself how it ended. */
function isBackground(elt, { verb, target }) {
  return isRepeated(elt) || (elt === document.body && verb === "get" && ["results", "alert-body"].includes(target.id));
}
for (const failed of ["htmx:responseError", "htmx:sendError", "request:unanswered"]) document.addEventListener(failed, (event) => {
  if (isBackground(event.detail.elt, event.detail.requestConfig)) return;
  if (event.detail.requestConfig.path === UNDO_URL && undoing) remember(UNDO, [...remembered(UNDO, []), undoing]);
  undoing = null;
  drop();
});
document.addEventListener("session:ended", drop);

// ---- Back to the list: the focus is where it was
const isAlert = (link) => /^\/alerts\/\d+\/$/.test(link.pathname);

function leave(link) {
  const all = rows();
  const row = here();
  if (!row) return;
  const left = { url: address(), id: row.id, index: all.indexOf(row), links: all.map((each) => each.querySelector("a").getAttribute("href")) };
  remember(PLACE, left);
  if (isAlert(link)) return;
  remember(ABOVE, left);
  if (link.hasAttribute("hx-get")) place = { id: "", index: 0 }; // what is opened begins with its first row
}
function arrive(isBack) {
  const stored = remembered(PLACE, null);
  if (!onList() || stored?.url !== address() || !(isBack || stored.returns)) return;
  remember(PLACE, { ...stored, returns: false });
  place = stored;
  settle();
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("#alerts tbody a");
  if (!link) return;
  focusRow(link.closest("tr"));
  leave(link);
});
// Back from what was opened within the page: htmx loads the list anew.
addEventListener("popstate", () => {
  const stored = remembered(PLACE, null);
  if (stored) remember(PLACE, { ...stored, returns: stored.url === address() });
});
addEventListener("pageshow", (event) => {
  arrive(event.persisted || performance.getEntriesByType("navigation")[0]?.type === "back_forward");
});

document.addEventListener("focus:lost", () => arrive(true));

/** From one alert to the next in the order of the list that it was opened from. */
function step(by) {
  const stored = remembered(PLACE, null);
  const at = stored?.links?.indexOf(location.pathname) ?? -1;
  const link = at < 0 ? undefined : stored.links[at + by];
  if (!link) { announce(by > 0 ? "This is the last alert of the list" : "This is the first alert of the list"); return; }
  remember(PLACE, { ...stored, index: at + by, id: `alert-${link.match(/\d+/)?.[0]}` });
  location.href = link;
}
function backToList() {
  const stored = remembered(PLACE, { url: "/alerts/" });
  remember(PLACE, { ...stored, returns: true });
  location.href = stored.url;
}

/** From a group or an incident to the list that it was opened from. */
function backAbove() {
  const stored = remembered(ABOVE, null);
  const url = stored?.url ?? (location.pathname.startsWith("/alerts/incidents/") ? "/alerts/?view=incidents" : address());
  if (url === address()) { announce("This list was opened from no other."); return; }
  if (stored) remember(PLACE, { ...stored, returns: true });
  remember(ABOVE, null);
  location.href = url;
}

// ---- Acts
async function act(button) {
  note();
  wait(); // at once: further keys are for what this one leads to
  const element = onList() && !(await choose()) ? null : document.querySelector(button);
  if (element && !element.disabled) element.click();
  else proceed();
}
const status = (value) => () => act(onList() ? `#change-status [value="${value}"]` : `#alert-status [value="${value}"]`);

function assign() {
  if (onList()) { act("#assign-me"); return; }
  const people = document.querySelector("select[name=assignee][data-me]");
  if (!people) return;
  people.value = people.dataset.me;
  wait();
  people.form.requestSubmit();
}

let wantsComment = false;
function comment() {
  const row = here();
  if (onList()) {
    const link = row?.querySelector("a");
    if (link && isAlert(link)) { leave(link); location.href = `${link.pathname}?tab=timeline#comment`; }
    else if (link) announce("Comments belong to one alert: open it first.");
    return;
  }
  wantsComment = !document.getElementById("comment");
  if (wantsComment) showTab(2);
  else document.getElementById("comment").focus();
}
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.id !== "alert-body" || !wantsComment) return;
  wantsComment = false;
  document.getElementById("comment")?.focus();
});
if (location.hash === "#comment") document.getElementById("comment")?.focus();

async function openStatusMenu() {
  if (onList() && !(await choose())) return;
  const menu = document.querySelector("#change-status, #alert-status");
  if (!menu) return;
  menu.open = true;
  menu.querySelector("button:not(:disabled)").focus();
}

const UNDO_URL = "/alerts/undo/";
let undoing = null; // what is being undone: it can be undone still if the portal cannot be reached
const undoButton = () => document.querySelector(`#messages form[action="${UNDO_URL}"] button`);
document.addEventListener("htmx:afterSwap", (event) => {
  const form = event.detail.target.id === "messages" && undoButton()?.form;
  if (form) remember(UNDO, [...remembered(UNDO, []), new FormData(form).getAll("alert")].slice(-MOST_UNDO));
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches(`#messages form[action="${UNDO_URL}"]`)) return;
  undoing = remembered(UNDO, []).at(-1) ?? null;
  remember(UNDO, remembered(UNDO, []).slice(0, -1));
}, true);

/** Undo the latest change of this tab, also after the page that it was made on is gone. */
async function undo() {
  note();
  const stack = remembered(UNDO, []);
  const button = undoButton();
  const latest = stack.at(-1);
  if (!button && !latest) { announce("Nothing to undo"); return; }
  wait();
  if (button) { button.click(); return; }
  undoing = latest;
  remember(UNDO, stack.slice(0, -1));
  const values = { alert: latest, next: address() };
  await window.htmx.ajax("POST", UNDO_URL, { target: "#messages", values }).catch(() => {}); // shell.js shows why
}

function turnPage(text) {
  const link = [...document.querySelectorAll(".pager a")].find((each) => (each.textContent.trim() === "Next") === text);
  if (!link) return;
  place = { id: "", index: 0 };
  wait("results");
  link.click();
}

function help() {
  const dialog = document.getElementById("keys");
  document.getElementById("keys-on").checked = on();
  dialog.showModal();
}

function showTab(index) {
  wait("alert-body");
  document.querySelectorAll(".alert-tabs .tabs a")[index].click();
}

const BOTH = {
  e: status("dismissed"),
  r: status("resolved"),
  p: status("in_progress"),
  u: status("active"),
  s: openStatusMenu,
  a: assign,
  c: comment,
  z: undo,
  "?": help,
};
const LIST = {
  j: () => move(1),
  k: () => move(-1),
  o: () => here()?.querySelector("a").click(),
  x: toggle,
  X: selectRange,
  "*": selectAll,
  Escape: selectNone,
  "]": () => turnPage(true),
  "[": () => turnPage(false),
  g: () => document.getElementById("group")?.focus(),
  "/": () => document.getElementById("search")?.focus(),
  l: backAbove,
};
const PAGE = {
  j: () => step(1),
  k: () => step(-1),
  l: backToList,
  ...Object.fromEntries([1, 2, 3, 4, 5].map((tab) => [String(tab), () => showTab(tab - 1)])),
};
const keys = () => ({ ...BOTH, ...(onList() ? LIST : PAGE) });

/** In the panel a digit chooses a resolution; Enter applies it. */
function pressInPanel(key) {
  const form = panel().querySelector("form");
  const choice = /^[1-9]$/.test(key) && form.querySelectorAll('[name="verdict"]')[key - 1];
  if (choice) { choice.checked = true; choice.focus(); }
  if (key === "Enter") { wait(); form.requestSubmit(form.querySelector("[type=submit]")); }
}

function press(key) {
  if (panel()) pressInPanel(key);
  else if (key === "Enter") here()?.querySelector("a").click();
  else keys()[key]?.();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !on()) return;
  const isKey = event.key === "Enter" || /^[1-9]$/.test(event.key) || keys()[event.key];
  if (waiting && isKey && !event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select")) {
    event.preventDefault();
    kept.push(event.key);
    return;
  }
  if (event.target.closest("#panel .decide") && !event.target.closest("textarea, [type=date]") && /^([1-9]|Enter)$/.test(event.key)) {
    event.preventDefault();
    pressInPanel(event.key);
    return;
  }
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select, dialog, details[open]");
  if (typing || event.key === "Enter" || !keys()[event.key]) return;
  if (event.key !== "Escape") event.preventDefault();
  keys()[event.key]();
});
document.addEventListener("click", (event) => { if (event.target.closest("[data-keys]")) help(); });
document.getElementById("keys-on")?.addEventListener("change", (event) => {
  localStorage.setItem(STORED, event.target.checked ? "on" : "off");
  announce(event.target.checked ? "Keyboard shortcuts on" : "Keyboard shortcuts off");
});
