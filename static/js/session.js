// Before a session ends, say so; when it has ended, keep what was typed until the user has signed in again.

import { announce, csrfToken, isFromPortal, showError } from "./tools.js";

const WARN = 120; // seconds
const TICK = 15_000;
const RETRY = 2_000; // ms
const PATIENCE = 5_000;
const SOON = 500;
const bar = document.getElementById("session");
const { url, user } = bar.dataset;
const signIn = `${bar.dataset.signIn}?next=${encodeURIComponent(location.pathname + location.search)}`;
let idleEnd = until(bar.dataset.idle);
let end = until(bar.dataset.end);
let active = false; // the user did something since the last tick
let isOver = false;

function until(seconds) {
  return Date.now() + Number(seconds) * 1000;
}

for (const kind of ["keydown", "pointerdown", "input"]) document.addEventListener(kind, () => { active = true; }, true);

/** Whether leaving the page would lose something: a changed field of a form that sends, or an open panel. */
function hasUnsaved() {
  if (document.querySelector("#panel > dialog")) return true;
  return [...document.querySelectorAll("form:not([method=get]) :is(input, textarea, select)")].some((field) => {
    if (field.type === "hidden" || field.closest("#session")) return false;
    if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
    if (field.matches("select")) return [...field.options].some((option) => option.selected !== option.defaultSelected)
      && [...field.options].some((option) => option.defaultSelected);
    return field.value !== field.defaultValue;
  });
}

/** Return the status and the session's state that the portal sends; null while it does not answer. `keep` also counts as activity. */
async function ask(keep) {
  const options = keep ? { method: "POST", headers: { "X-CSRFToken": csrfToken() } } : { headers: { "X-Poll": "1" } };
  try {
    const answer = await fetch(url, { ...options, cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
    if (!isFromPortal(answer.headers.get("Vary"))) return null;
    return { status: answer.status, state: answer.status === 200 ? await answer.json() : null };
  } catch {
    return null;
  }
}

/** Ask the portal, and return whether it answered; `keep` also counts as activity. Nothing changes while it cannot be reached. */
async function check(keep = false) {
  const answer = await ask(keep);
  if (answer && keep && answer.status !== 200) return check();
  if (answer?.state) take(answer.state);
  return Boolean(answer?.state);
}

/** Adopt the state of the session: who is signed in, until when, and the token that forms must send. */
function take(state) {
  if (state.user === null) return over(signIn, "You are signed out. What you typed is still here.", "Sign in");
  if (String(state.user) !== user) return over(location.href, "Somebody else has signed in.", "Open this page as them");
  idleEnd = until(state.idle);
  end = until(state.end);
  takeToken(state.csrf_token);
  if (isOver) announce("Signed in again");
  isOver = false;
  show();
}

/** Signing in changes the token that forms must send. */
function takeToken(token) {
  document.querySelector('meta[name="csrf-token"]').content = token;
  for (const field of document.querySelectorAll("input[name=csrfmiddlewaretoken]")) field.value = token;
}

function over(link, text, label) {
  isOver = true;
  if (!hasUnsaved()) {
    location.assign(signIn);
    return;
  }
  const anchor = document.createElement("a");
  anchor.href = link;
  anchor.target = "_blank";
  anchor.className = "button primary small";
  anchor.textContent = label;
  fill(text, anchor);
}

function fill(text, control) {
  if (bar.dataset.shown === text) { place(); return; }
  bar.dataset.shown = text;
  const line = document.createElement("span");
  line.textContent = text;
  bar.replaceChildren(line, control);
  bar.hidden = false;
  place();
}

/** Put a bar that is shown into the dialog that is open, which makes everything outside it inert, and back onto the page. */
function place() {
  const where = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  if (!bar.hidden && bar.parentElement !== where) where.append(bar);
}
document.addEventListener("htmx:afterSwap", place); // may have replaced the dialog
document.addEventListener("panel:closed", place);
document.addEventListener("close", place, true); // other dialogs

function hideBar() {
  bar.hidden = true;
  delete bar.dataset.shown;
}

function show() {
  const left = Math.min(idleEnd, end) - Date.now();
  if (left > WARN * 1000) { hideBar(); return; }
  const time = new Date(Math.min(idleEnd, end)).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small";
  if (idleEnd < end) {
    button.textContent = "Stay signed in";
    button.addEventListener("click", () => check(true));
    fill(`You will be signed out at ${time}, because you have been inactive.`, button);
  } else {
    button.textContent = "Dismiss";
    button.addEventListener("click", () => { bar.hidden = true; });
    fill(`Your session ends at ${time}. Save what you are working on.`, button);
  }
}

async function tick() {
  const left = Math.min(idleEnd, end) - Date.now();
  // Typing counts: a long comment sends nothing until it is finished.
  if (active && !isOver && idleEnd - Date.now() < Number(bar.dataset.idle) * 1000 - 60_000) await check(true);
  else if (left < WARN * 1000 && !isOver) await check(); // another tab may have been active
  active = false;
}

// ---- A page that the browser kept alive: of another user, or of an earlier state
let round = 0;
let retry;
let focused = null; // when the page was left: what is hidden cannot keep the focus
addEventListener("pagehide", (event) => { if (event.persisted) focused = document.activeElement; });

/** Show it to the user who left it; whoever else is signed in now, or nobody, gets nothing that was typed in it. */
async function verify() {
  clearTimeout(retry);
  round += 1;
  const mine = round;
  const wait = () => fill("The portal has not answered yet. This page is shown once it is known who is signed in.", "");
  const slow = setTimeout(wait, SOON);
  const answer = await ask(false);
  clearTimeout(slow);
  if (mine !== round) return; // the page was left and shown again meanwhile
  if (!answer?.state) {
    wait();
    retry = setTimeout(verify, RETRY);
    return;
  }
  if (String(answer.state.user) !== user) { forget(); return; }
  document.documentElement.classList.remove("unverified");
  take(answer.state);
  if (focused?.isConnected) focused.focus({ preventScroll: true });
  else if (focused) document.dispatchEvent(new Event("focus:lost")); // what had it was replaced meanwhile
  if (hasUnsaved()) return;
  // A page that loads its data anew by itself prevents the default.
  if (document.dispatchEvent(new Event("page:returned", { cancelable: true }))) location.reload();
}

/** Load the page again, without what was typed: browsers fill in fields that were left with something. */
function forget() {
  document.getElementById("panel").replaceChildren(); // its guard would ask whether to leave
  for (const form of document.forms) form.reset();
  location.reload();
}
addEventListener("pageshow", (event) => { if (event.persisted) verify(); });
document.addEventListener("session:ended", () => check());
document.addEventListener("visibilitychange", () => { if (!document.hidden && (isOver || Date.now() > Math.min(idleEnd, end))) check(); });
window.addEventListener("focus", () => { if (isOver) check(); });
document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (form.method === "get" || (!isOver && Date.now() < Math.min(idleEnd, end))) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (!await check()) showError("The portal has not answered. Nothing was sent; try again.");
  else if (!isOver && Date.now() < Math.min(idleEnd, end)) form.requestSubmit(submitter);
}, true);
setInterval(tick, TICK);
