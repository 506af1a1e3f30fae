// Shared by every page: CSRF for htmx, stale responses, panels as modal dialogs, menus, theme.

import { announce, csrfToken, hideStale, isFromPortal, isRepeated, showError, showStale } from "./tools.js";
import "./presses.js";

const LONGEST_POLL = 20_000; // ms
const etags = new WeakMap();
const uncertain = (verb) => (verb === "get" ? "" : " Check whether the change was made."); // the answer may have been lost, not the request

document.addEventListener("htmx:configRequest", (event) => {
  const { headers, verb, elt } = event.detail;
  if (isPoll(elt)) headers["X-Poll"] = "1"; // does not count as activity of the user
  if (isRepeated(elt)) event.detail.timeout = LONGEST_POLL; // else one that the network lost holds up those after it
  if (verb !== "get") headers["X-CSRFToken"] = csrfToken();
  else if (etags.has(elt)) headers["If-None-Match"] = etags.get(elt);
});

document.addEventListener("htmx:afterRequest", (event) => {
  const { elt, xhr, successful } = event.detail;
  const etag = successful && !dropped.has(xhr) && elt.hasAttribute("hx-trigger") ? xhr.getResponseHeader("ETag") : null;
  const shown = elt.isConnected ? elt : document.getElementById(elt.id); // a swap may have replaced the element
  if (etag && shown) etags.set(shown, etag);
});

document.addEventListener("htmx:responseError", (event) => {
  const { elt, xhr, requestConfig: { verb } } = event.detail;
  if (xhr.getResponseHeader("X-Confirm")) return; // confirm.js asks and repeats the request
  if (isRepeated(elt)) return;
  const { status } = xhr;
  const isOurs = isFromPortal(xhr.getResponseHeader("Vary"));
  if (status === 403 && isOurs) showError("Your role does not allow this.");
  else if (!isOurs) showError(`The portal did not answer (error ${status}).${uncertain(verb)}`); // a proxy's word
  else showError(`Something went wrong (error ${status}). Nothing was changed.`);
});
document.addEventListener("htmx:sendError", ({ detail: { elt, requestConfig } }) => {
  if (!isRepeated(elt)) showError(`The portal cannot be reached.${uncertain(requestConfig.verb)}`);
});

// ---- Responses may overtake each other: a target shows the user's latest request. A poll that was sent before that
// request, or while it is under way, is dropped: it asks for what was shown then.
const last = new Map(); // target's id -> the user's latest request
const guarded = new WeakSet();
const after = new WeakMap(); // request -> the user's request that it follows; null while that is under way
const isPoll = (elt) => elt === document.body || isRepeated(elt);
const isUnderWay = (xhr) => xhr !== undefined && ![XMLHttpRequest.UNSENT, XMLHttpRequest.DONE].includes(xhr.readyState);

document.addEventListener("htmx:beforeRequest", ({ detail: { elt, xhr, requestConfig } }) => {
  const before = last.get(requestConfig.target.id);
  if (isPoll(elt)) after.set(xhr, isUnderWay(before) ? null : before);
  else if (requestConfig.target.id) { last.set(requestConfig.target.id, xhr); after.set(xhr, xhr); }
});
/** Drop responses for a target that was swapped away: its events no longer reach the document. */
function guard(target) {
  if (guarded.has(target)) return;
  guarded.add(target);
  target.addEventListener("htmx:beforeSwap", (event) => { if (!target.isConnected) event.preventDefault(); });
}
document.addEventListener("htmx:beforeRequest", ({ detail }) => guard(detail.requestConfig.target));
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { target, verb } = detail.requestConfig;
  if (verb === "get" && after.get(detail.xhr) !== last.get(target.id)) detail.shouldSwap = false;
});

// ---- What a proxy answers in the portal's place (a limit, a page about maintenance) must not replace the page, nor what
// was typed in it.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { elt, xhr } = detail;
  if (!detail.shouldSwap || isFromPortal(xhr.getResponseHeader("Vary"))) return;
  detail.shouldSwap = false;
  document.dispatchEvent(new CustomEvent("request:unanswered", { detail }));
  if (!isRepeated(elt)) showError(`Something other than the portal has answered (status ${xhr.status}). Reload the page to see what is saved.`);
});

// ---- Polls that are not answered, or only with an error: the page says since when, lest it shows for ever what was well.
const STALE_AFTER = 15_000; // ms; more than a period, so that one poll that failed is not shown
const unanswered = new Map(); // address -> the element that polls it, and since when
const isLive = (elt) => isRepeated(elt) && elt.id !== "bell";

document.addEventListener("htmx:beforeRequest", ({ detail: { elt, requestConfig: { path } } }) => {
  if (isLive(elt) && !unanswered.has(path)) unanswered.set(path, { elt, since: Date.now() });
});
document.addEventListener("htmx:afterRequest", ({ detail: { xhr, requestConfig: { path } } }) => {
  const isAnswer = xhr.status < 400 || xhr.status === 401; // session.js says that the session has ended
  const isOurs = isFromPortal(xhr.getResponseHeader("Vary"));
  if (isAnswer && isOurs) unanswered.delete(path);
  else if (unanswered.has(path)) unanswered.get(path).isRefused = isOurs && xhr.status < 500;
});
let isShown = false;
setInterval(() => {
  for (const [path, { elt }] of unanswered) if (!elt.isConnected) unanswered.delete(path);
  const [oldest] = [...unanswered.values()].sort((one, other) => one.since - other.since);
  if (oldest && Date.now() - oldest.since > STALE_AFTER) {
    isShown = true;
    showStale(oldest.since, oldest.isRefused ? "the portal refuses it. Reload the page" : undefined);
  } else if (isShown) { isShown = false; hideStale(); }
}, 1_000);

// ---- A poll must not replace what is being pressed: the next one shows what it would have shown.
const dropped = new WeakSet();
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (!isRepeated(detail.elt) || !detail.target.matches(":active")) return;
  detail.shouldSwap = false;
  dropped.add(detail.xhr);
});

// ---- Panels: a <dialog class="panel"> swapped into #panel opens; closing empties #panel and returns the focus.
let opener = null;
let closed = 0; // how many panels were closed so far
let mayClose = true; // whether what is swapped in may close the panel that is open: one from another place may not
let hasMoved = false; // whether the focus has moved since what is swapped in was requested
const sentFrom = new Map(); // request under way from a panel -> that, the focus, and `closed` when it was sent

function adopt() {
  const dialog = document.querySelector("#panel > dialog.panel");
  if (!dialog || dialog.dataset.adopted) return;
  dialog.dataset.adopted = "true";
  const focused = hasMoved && dialog.contains(document.activeElement) ? document.activeElement : null; // by htmx, if it has an id
  if (focused) for (const each of dialog.querySelectorAll("[autofocus]")) each.removeAttribute("autofocus"); // htmx would focus it too
  if (dialog.open) dialog.close();
  dialog.showModal();
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(dialog); });
  dialog.addEventListener("click", (event) => {
    if (!event.target.closest("[data-panel-close]")) return;
    event.preventDefault();
    close(dialog);
  });
  (focused ?? dialog.querySelector("[autofocus]") ?? dialog.querySelector("input:not([type=hidden]), select, button"))?.focus();
}

function close(dialog) {
  if (dialog.dispatchEvent(new CustomEvent("panel:closing", { bubbles: true, cancelable: true }))) closePanel();
}

/** Close the open panel, whatever it contains, and return the focus to what opened it. */
function closePanel() {
  const dialog = document.querySelector("#panel > dialog.panel");
  if (!dialog) return;
  dialog.close();
  dialog.remove();
  closed += 1;
  // htmx looks for what the answer is to be shown in from the element that sent the request: until then it stays, hidden.
  if ([...sentFrom.values()].some(({ panel }) => panel === dialog)) document.body.append(dialog);
  const back = opener?.isConnected ? opener : document.getElementById(opener?.id);
  back?.focus();
  // A button of a menu that has closed takes no focus.
  if (!back || document.activeElement !== back) (back?.closest("details")?.querySelector("summary") ?? document.getElementById("main")).focus();
  opener = null;
  document.dispatchEvent(new CustomEvent("panel:closed"));
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target?.id === "panel" && !document.querySelector("#panel > dialog")) opener = event.detail.elt;
});
// The answer to a panel that was closed meanwhile neither replaces nor closes the one that is open now; lists are updated.
// Nor does the answer to what was sent from the page close a panel.
document.addEventListener("htmx:beforeSend", ({ detail: { elt, xhr } }) => {
  const panel = elt.closest("dialog.panel");
  if (panel) sentFrom.set(xhr, { panel, focus: document.activeElement, before: closed });
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr, requestConfig: { verb } } = event.detail;
  const from = sentFrom.get(xhr);
  mayClose = from?.before === closed;
  hasMoved = Boolean(from) && document.activeElement !== from.focus;
  queueMicrotask(() => { mayClose = true; }); // htmx swaps and triggers `panel:close` before
  if (!from || mayClose) return;
  if (target.id !== "panel" && !xhr.getResponseHeader("X-Confirm")) return;
  event.detail.shouldSwap = false;
  event.stopImmediatePropagation(); // confirm.js would ask who makes the change
  if (verb === "get" || xhr.status < 400) return;
  document.dispatchEvent(new CustomEvent("request:unanswered", { detail: event.detail })); // for keys that were pressed meanwhile
  showError("The change in the closed panel was rejected. Nothing was changed.");
});
document.addEventListener("htmx:afterRequest", ({ detail: { xhr } }) => {
  const panel = sentFrom.get(xhr)?.panel;
  sentFrom.delete(xhr);
  if (panel?.parentElement === document.body && ![...sentFrom.values()].some((each) => each.panel === panel)) panel.remove();
});
document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "panel") adopt(); });
document.addEventListener("htmx:load", adopt);
document.body.addEventListener("panel:close", () => { if (mayClose) closePanel(); });
adopt();

// ---- A toast stays until it is closed, or replaced by what is done next.
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-toast-close]")) return;
  event.target.closest(".toast").remove();
  document.getElementById("main").focus();
});

// ---- Links that act as buttons and switches take Space too, as those do.
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !event.target.matches?.("a[role=button], a[role=switch]")) return;
  event.preventDefault();
  event.target.click();
});

// ---- Menus close on Escape and on a click elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// ---- A menu that would extend past the right edge of the page moves left.
document.addEventListener("toggle", ({ target: menu }) => {
  const items = menu.matches("details.menu[open]") && menu.querySelector(":scope > .menu-items");
  if (!items) return;
  items.style.marginLeft = "";
  const past = items.getBoundingClientRect().right - document.documentElement.clientWidth;
  if (past > 0) items.style.marginLeft = `${-Math.ceil(past)}px`;
}, true);

// ---- Light or dark: the system setting until the user chooses.
const toggle = document.querySelector("[data-theme-toggle]");
if (toggle) {
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    announce(dark ? "Light colours" : "Dark colours");
  });
}
