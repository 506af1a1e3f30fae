// The query line: completion as a combobox with a list (WAI-ARIA Authoring Practices), and search while typing.
import { isFromPortal } from "../tools.js";

const COMPLETE = 120; // ms without a keystroke
const SEARCH = 300;

let asking = 0;
let searching = 0;
let requests = 0;
let wanted = false; // completions are shown, or on their way
let kept = null;

const input = () => document.getElementById("search");
const list = () => document.getElementById("completions");
const options = () => [...list().children];
const active = () => list().querySelector('[aria-selected="true"]');

function close() {
  requests += 1; // an answer that is still under way opens nothing
  wanted = false;
  clearTimeout(asking);
  if (!list()) return;
  list().hidden = true;
  list().replaceChildren();
  input().setAttribute("aria-expanded", "false");
  input().removeAttribute("aria-activedescendant");
}

async function complete() {
  requests += 1;
  wanted = true;
  const own = requests;
  const field = input();
  const line = field.value;
  const query = new URLSearchParams({ line, caret: field.selectionStart });
  const answer = await fetch(`${field.dataset.completions}?${query}`, { redirect: "manual" }).catch(() => null);
  const html = answer?.ok && isFromPortal(answer.headers.get("Vary")) ? await answer.text() : null;
  if (html === null || own !== requests || document.activeElement !== input()) return;
  // The one that was chosen among the completions of a shorter word stays chosen.
  const chosen = active()?.dataset.text;
  list().innerHTML = html;
  list().dataset.line = line;
  show();
  const same = options().find((option) => option.dataset.text === chosen);
  if (same) choose(same);
}

/** Show the completions that there are, and mark none. */
function show() {
  list().hidden = options().length === 0;
  input().setAttribute("aria-expanded", String(!list().hidden));
  input().removeAttribute("aria-activedescendant");
}

function choose(option) {
  option.setAttribute("aria-selected", "true");
  option.scrollIntoView({ block: "nearest" });
  input().setAttribute("aria-activedescendant", option.id);
}

function move(step) {
  const all = options();
  const at = all.indexOf(active());
  const next = all[at < 0 && step < 0 ? all.length - 1 : (at + step + all.length) % all.length];
  active()?.setAttribute("aria-selected", "false");
  choose(next);
}

/** Put the option in the place of the word that it completes, and of what was typed in it since it was offered. */
function accept(option) {
  const field = input();
  const { line } = list().dataset;
  const [start, end] = [Number(option.dataset.start), Number(option.dataset.end)];
  const [before, rest] = [line.slice(0, start), line.slice(end)];
  const isElsewhere = !field.value.startsWith(before) || !field.value.endsWith(rest) || field.value.length < before.length + rest.length;
  if (isElsewhere) { complete(); return; }
  const isName = "name" in option.dataset;
  const added = isName || rest.startsWith(" ") ? option.dataset.text : `${option.dataset.text} `;
  field.value = before + added + rest;
  const caret = start + added.length;
  field.setSelectionRange(caret, caret);
  close();
  if (isName) complete();
  else search();
}

function search() {
  clearTimeout(searching);
  input().form.dispatchEvent(new Event("query:typed"));
}

/** Return whether what is typed is a text, so that it can be searched before Enter. */
function isText() {
  const before = input().value.slice(0, input().selectionStart);
  const word = before.split(/\s/).at(-1);
  return !/[":]/.test(word) && !(word && list().querySelector("[data-name]")) && !before.match(/"/g)?.length % 2;
}

document.addEventListener("input", (event) => {
  if (event.target !== input()) return;
  clearTimeout(asking);
  clearTimeout(searching);
  asking = setTimeout(complete, COMPLETE);
  searching = setTimeout(() => { if (isText()) search(); }, SEARCH);
});
document.addEventListener("search", (event) => { if (event.target === input() && !input().value) search(); }, true);
document.addEventListener("submit", (event) => { if (event.target === input()?.form) { clearTimeout(searching); close(); } }, true);

document.addEventListener("keydown", (event) => {
  if (event.target !== input() || event.isComposing) return;
  const isOpen = !list().hidden;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (isOpen) move(event.key === "ArrowDown" ? 1 : -1);
    else complete();
  } else if (event.key === "Enter" && isOpen && active()) {
    event.preventDefault();
    accept(active());
  } else if (event.key === "Escape" && isOpen) {
    event.preventDefault();
    close();
  }
});
document.addEventListener("mousedown", (event) => {
  const option = event.target.closest("#completions > [role=option]");
  if (!option) return;
  event.preventDefault(); // the line keeps the focus
  if (event.button === 0) accept(option);
});
document.addEventListener("focusout", (event) => { if (event.target === input()) close(); });

// ---- A swap replaces the line and its completions: keep what was typed since its request was sent, where the caret is,
// and which completion is chosen.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id !== "results" || !detail.shouldSwap) return; // the bell, or an answer that is dropped
  const field = input();
  const isMine = document.activeElement === field;
  kept = isMine ? { value: field.value, start: field.selectionStart, end: field.selectionEnd, sent: field.dataset.sent, wanted, list: list().cloneNode(true) } : null;
  clearTimeout(asking);
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt === input()?.form) input().dataset.sent = input().value;
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (!kept || event.detail.target.id !== "results") return;
  const field = input();
  const more = kept.value !== kept.sent && kept.value !== field.value;
  field.value = kept.value;
  field.focus();
  field.setSelectionRange(kept.start, kept.end);
  if (!kept.list.hidden) restore(kept.list);
  if (more) field.dispatchEvent(new Event("input", { bubbles: true }));
  else if (kept.wanted && kept.list.dataset.line !== kept.value) asking = setTimeout(complete, COMPLETE);
  kept = null;
});

/** Show the completions that were shown before a swap, the chosen one chosen. */
function restore(shown) {
  list().replaceWith(shown);
  wanted = true;
  show();
  if (active()) choose(active());
}
