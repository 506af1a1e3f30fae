// The query line: completion as a combobox with a list (WAI-ARIA Authoring Practices), and search while typing.
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
  const query = new URLSearchParams({ line: field.value, caret: field.selectionStart });
  const answer = await fetch(`${field.dataset.completions}?${query}`, { redirect: "manual" }).catch(() => null);
  if (!answer?.ok || own !== requests || document.activeElement !== input()) return;
  list().innerHTML = await answer.text();
  list().hidden = options().length === 0;
  input().setAttribute("aria-expanded", String(!list().hidden));
  input().removeAttribute("aria-activedescendant");
}

function move(step) {
  const all = options();
  const at = all.indexOf(active());
  const next = all[at < 0 && step < 0 ? all.length - 1 : (at + step + all.length) % all.length];
  active()?.setAttribute("aria-selected", "false");
  next.setAttribute("aria-selected", "true");
  next.scrollIntoView({ block: "nearest" });
  input().setAttribute("aria-activedescendant", next.id);
}

function accept(option) {
  const field = input();
  const { text, start, end } = option.dataset;
  const isName = "name" in option.dataset;
  const rest = field.value.slice(Number(end));
  const added = isName || rest.startsWith(" ") ? text : `${text} `;
  field.value = field.value.slice(0, Number(start)) + added + rest;
  const caret = Number(start) + added.length;
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
  if (option) { event.preventDefault(); accept(option); } // the line keeps the focus
});
document.addEventListener("focusout", (event) => { if (event.target === input()) close(); });

// ---- A swap replaces the line: keep what was typed since its request was sent, and where the caret is.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "results") return; // the bell, which leaves the line as it is
  const field = input();
  const isMine = document.activeElement === field;
  kept = isMine ? { value: field.value, start: field.selectionStart, end: field.selectionEnd, sent: field.dataset.sent, wanted } : null;
  clearTimeout(asking);
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt === input()?.form) input().dataset.sent = input().value;
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (!kept || event.detail.target.id !== "results") return;
  const field = input();
  const more = kept.value !== kept.sent;
  field.value = kept.value;
  field.focus();
  field.setSelectionRange(kept.start, kept.end);
  if (more) field.dispatchEvent(new Event("input", { bubbles: true }));
  else if (kept.wanted) asking = setTimeout(complete, COMPLETE);
  kept = null;
});
