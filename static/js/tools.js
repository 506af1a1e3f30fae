// Helpers for every page's module. Stateless, so loading it twice under two hashed names is harmless.

/** Announce `text` to screen readers. Emptied first, so that the same text twice in a row is announced twice. */
export function announce(text) {
  const region = document.getElementById("status");
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = text; });
}

/** Return the value of the X-CSRFToken header. */
export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]').content;
}

/** Whether the portal itself answered, by the response's `Vary`: all that it sends names HX-Request, what a proxy sends in its place does not. */
export function isFromPortal(vary) {
  return Boolean(vary?.includes("HX-Request"));
}

/** Whether nobody asked for what an element requests, and it comes again: a poll. */
export function isRepeated(elt) {
  return elt.matches("[hx-trigger*=every], [hx-trigger*=refresh]");
}

/** Fetch a part of the page. Null where it failed, something else than the portal answered, or the session has ended: session.js then keeps what was typed. */
export async function fetchPart(url, options) {
  const response = await fetch(url, options).catch(() => null);
  if (response?.status === 401) document.dispatchEvent(new Event("session:ended"));
  return response?.ok && isFromPortal(response.headers.get("Vary")) ? response : null;
}

/** Show an error in the page's message area, or at the top of an open panel, which covers that and makes it inert. */
export function showError(text) {
  const line = document.createElement("div");
  line.className = "message error";
  line.textContent = text;
  const panel = document.querySelector("dialog[open] .panel-body");
  if (!panel) { document.getElementById("messages").replaceChildren(line); return; }
  panel.querySelector(":scope > [data-failure]")?.remove();
  line.dataset.failure = "";
  line.setAttribute("role", "alert");
  panel.prepend(line);
  line.scrollIntoView({ block: "nearest" });
}

const STALE = 10_000; // ms

/** Return a function that takes whether the latest poll was answered, and shows since when none was. */
export function freshness() {
  let latest = Date.now();
  return (isAnswered) => {
    if (isAnswered) { latest = Date.now(); hideStale(); return; }
    if (Date.now() - latest >= STALE) showStale(latest);
  };
}

/** Say since when what the page shows was not updated, and why. */
export function showStale(since, reason = "the portal does not answer") {
  if (document.getElementById("stale")) return;
  const line = document.createElement("div");
  line.id = "stale";
  line.className = "message warning";
  line.setAttribute("role", "status");
  line.textContent = `Not updated since ${new Date(since).toISOString().slice(11, 16)} UTC: ${reason}.`;
  document.getElementById("messages").after(line);
  document.body.dataset.stale = ""; // what is green is not known to be well
}

/** The page is up to date again. */
export function hideStale() {
  document.getElementById("stale")?.remove();
  delete document.body.dataset.stale;
}
