// One alert: copy buttons, and a body that stays current.
import { announce, freshness, isFromPortal } from "../tools.js";

const POLL = 2000;
const LONGEST = 15_000; // ms that a poll may take
const note = freshness();
const page = () => document.querySelector("[data-alert-url]");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.value ?? source.textContent);
  announce("Copied");
  button.dataset.copied = "yes";
});

// ---- What a reload leaves as it is: a comment that is being written, on whichever tab, open folds, and the focus
const comment = () => document.getElementById("comment");
const folds = () => [...document.querySelectorAll("#alert-body details.fold")].map((fold) => [fold.querySelector("summary").textContent, fold]);
let draft = ""; // the comment as typed
const sent = new WeakMap(); // request -> the comment that it stores
let unfolded = new Map();
let focused = null;

document.addEventListener("htmx:beforeRequest", ({ detail: { elt, xhr } }) => { if (elt === comment()?.form) sent.set(xhr, comment().value); });
// Not after the request: where another tab was opened meanwhile, the events of the form no longer reach the document.
document.addEventListener("htmx:beforeSwap", ({ detail: { xhr } }) => {
  if (!sent.has(xhr) || xhr.status >= 400 || !isFromPortal(xhr.getResponseHeader("Vary"))) return;
  if (draft === sent.get(xhr)) draft = "";
  if (comment()?.value === sent.get(xhr)) comment().value = "";
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id !== "alert-body" || !detail.shouldSwap) return;
  draft = comment()?.value ?? draft;
  unfolded = new Map(folds().map(([name, fold]) => [name, fold.open]));
  focused = detail.target.contains(document.activeElement) ? document.activeElement : null;
});
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id !== "alert-body") return;
  for (const [name, fold] of folds()) if (unfolded.has(name)) fold.open = unfolded.get(name);
  if (comment() && draft) comment().value = draft;
  if (!focused || document.activeElement !== document.body) return;
  const isSame = (each) => each.textContent === focused.textContent && each.getAttribute("href") === focused.getAttribute("href");
  [...detail.target.querySelectorAll(focused.localName)].find(isSame)?.focus({ preventScroll: true });
});

/** Reload the body of the page; return whether it was. */
async function reload() {
  const before = document.getElementById("alert-body").firstElementChild;
  await window.htmx.ajax("GET", location.pathname + location.search, { target: "#alert-body", swap: "innerHTML" });
  return document.getElementById("alert-body").firstElementChild !== before;
}
document.body.addEventListener("alerts:changed", async () => {
  const isShown = await reload().catch(() => false);
  document.body.dispatchEvent(new CustomEvent("alerts:reloaded", { detail: { isShown } }));
});
document.addEventListener("page:returned", (event) => {
  event.preventDefault();
  if (!busy()) reload();
});

/** Whether a reload that nobody asked for would take something away: what is typed, chosen, selected or being pressed. */
function busy() {
  const body = document.getElementById("alert-body");
  const typing = document.activeElement?.matches("#alert-body :is(textarea, input, select)");
  const selecting = !getSelection().isCollapsed && body.contains(getSelection().anchorNode);
  const written = [...document.querySelectorAll("#alert-body textarea:not([readonly])")].some((area) => area.value);
  return typing || written || selecting || body.matches(":active") || document.querySelector("details.menu[open], dialog[open]");
}

/** Bring the page up to date; return whether the portal answered. */
async function poll() {
  const { pulse, url } = page().dataset;
  const answer = await fetch(`${url}?etag=${encodeURIComponent(pulse)}`, { headers: { "X-Poll": "1" }, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(LONGEST) });
  if (answer.status === 401) document.dispatchEvent(new Event("session:ended"));
  if (!isFromPortal(answer.headers.get("Vary"))) return false;
  if (answer.status !== 200 || busy()) return [200, 204, 304].includes(answer.status);
  polling = true;
  await reload().finally(() => { polling = false; });
  return true;
}
let polling = false;
// What was opened or typed while a poll reloads the page stays: the next poll tries again.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (polling && event.detail.target.id === "alert-body" && busy()) event.detail.shouldSwap = false;
});

async function live() {
  try {
    if (!document.hidden) note(await poll());
  } catch {
    note(false); // the portal cannot be reached: the next poll retries
  }
  setTimeout(live, POLL);
}
setTimeout(live, POLL);
