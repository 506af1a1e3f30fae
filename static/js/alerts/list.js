// The list of alerts: selection, and updates that never move the rows being read.
import { announce, freshness, showError } from "../tools.js";

const POLL = 2000;
const LONGEST = 15_000; // ms that a poll may take
const note = freshness();
let etag = null;
let waiting = new Set();
const shapes = new WeakMap();

const table = () => document.getElementById("alerts");
const boxes = () => [...document.querySelectorAll('#alerts tbody [name="alert"]')];

// ---- Selection: kept by alert number while rows come and go.
const everything = () => document.querySelectorAll('#everything [name="alert"]').length;
function selected() { return boxes().filter((box) => box.checked); }

function showSelection() {
  const menu = document.querySelector("#change-status > summary");
  const chosen = selected().length;
  for (const box of boxes()) box.closest("tr").classList.toggle("selected", box.checked);
  const all = document.querySelector("[data-select-all]");
  if (all) {
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
  }
  const none = chosen === 0 && everything() === 0;
  if (menu) menu.setAttribute("aria-disabled", String(none));
  const assign = document.getElementById("assign-me");
  if (assign) assign.disabled = none;
  const offer = document.getElementById("select-everything");
  if (offer) offer.hidden = !all?.checked || everything() > 0;
}

document.addEventListener("change", (event) => {
  if (event.target.matches('[data-select-all], [name="alert"]')) document.getElementById("everything")?.replaceChildren();
  if (event.target.matches("[data-select-all]")) for (const box of boxes()) box.checked = event.target.checked;
  if (event.target.matches('[data-select-all], [name="alert"]')) showSelection();
});
document.addEventListener("click", (event) => {
  if (event.target.closest('#change-status > summary[aria-disabled="true"]')) event.preventDefault();
  if (event.target.closest("[data-status]")) document.getElementById("change-status").open = false;
  if (event.target.closest("[data-refresh]")) { event.preventDefault(); reload("Refreshed"); }
  if (event.target.closest("[data-select-none]")) {
    for (const box of boxes()) box.checked = false;
    document.getElementById("everything").replaceChildren();
    showSelection();
  }
  const file = event.target.closest("[data-export]");
  if (file) file.search = location.search;
  if (event.target.closest("[data-show-news]")) reload("New alerts shown");
});

// ---- Reload the list in place
/** Reload the list, then announce `message`; return whether it was reloaded. */
async function reload(message) {
  const before = document.getElementById("results").firstElementChild;
  waiting = new Set();
  etag = null;
  await window.htmx.ajax("GET", location.pathname + location.search, { target: "#results", swap: "innerHTML" });
  const isShown = document.getElementById("results").firstElementChild !== before;
  if (message && isShown) announce(message);
  return isShown;
}
document.body.addEventListener("alerts:changed", async () => {
  const isShown = await reload().catch(() => false);
  document.body.dispatchEvent(new CustomEvent("alerts:reloaded", { detail: { isShown } }));
});
document.body.addEventListener("alerts:selected", showSelection);
document.addEventListener("page:returned", (event) => {
  if (!table()?.dataset.live) return; // the timeline of an incident
  event.preventDefault();
  reload();
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "results") etag = null;
  if (["results", "everything"].includes(event.detail.target.id)) showSelection();
  for (const input of document.querySelectorAll("[data-here]")) input.value = location.search;
});
document.addEventListener("submit", (event) => {
  for (const input of event.target.querySelectorAll("[data-here]")) input.value = location.search;
}, true);

// ---- New alerts
function atTop() {
  const at = document.activeElement;
  const isKept = at?.closest(".filterbar :is(.filter, .menu)"); // filters.js returns the focus to a filter
  const loses = document.getElementById("results").contains(at) && !isKept;
  const busy = selected().length || document.querySelector("details.menu[open], dialog[open]") || loses;
  return table().dataset.first === "yes" && window.scrollY < 80 && !busy;
}

function takeRow(id, html) {
  const row = document.getElementById(`alert-${id}`);
  const made = document.createElement("template");
  made.innerHTML = html.trim();
  const fresh = made.content.firstElementChild;
  if (!row || shapes.get(row) === html) return;
  if (row.matches(":active")) { etag = null; return; } // it is being pressed: the next poll brings it
  const was = row.querySelector('[name="alert"]');
  const box = fresh.querySelector('[name="alert"]');
  if (was && box) box.checked = was.checked;
  const focused = row.contains(document.activeElement) && document.activeElement.localName;
  row.replaceWith(fresh);
  shapes.set(fresh, html);
  if (focused) fresh.querySelector(focused)?.focus();
}

function takeNews(numbers) {
  const known = new Set(table().dataset.known.split(","));
  const news = numbers.filter((id) => !known.has(String(id)) && !document.getElementById(`alert-${id}`));
  if (!news.length) return;
  if (atTop()) { reload(); return; }
  if (news.every((id) => waiting.has(id)) && document.querySelector("[data-show-news]")) return;
  waiting = new Set(news);
  const count = news.length > 50 ? "50+" : news.length;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small";
  button.dataset.showNews = "";
  button.textContent = `${count} new alert${news.length === 1 ? "" : "s"} · Show`;
  document.getElementById("news").replaceChildren(button);
}

/** Bring the list up to date; return whether the portal answered. */
async function poll() {
  if (!table()?.dataset.live) return true; // the timeline of an incident
  const shown = [...document.querySelectorAll("#alerts [data-alert]")].map((row) => row.dataset.alert);
  const query = new URLSearchParams({ since: table().dataset.since, shown: shown.join(",") });
  const headers = { "X-Poll": "1", ...(etag && { "If-None-Match": etag }) };
  const polled = table();
  const answer = await fetch(`${polled.dataset.live}&${query}`, { headers, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(LONGEST) });
  if (answer.status === 401) document.dispatchEvent(new Event("session:ended"));
  if (answer.status !== 200) return answer.status === 304;
  const { new: news, rows, summary } = await answer.json();
  if (table() !== polled) return true; // another list was loaded during the request
  etag = answer.headers.get("ETag");
  document.getElementById("summary").innerHTML = summary;
  for (const [id, html] of Object.entries(rows)) takeRow(id, html);
  showSelection();
  takeNews(news);
  return true;
}

async function live() {
  try {
    if (!document.hidden) note(await poll());
  } catch {
    note(false); // the portal cannot be reached: the next poll retries, and commands show their own errors
  }
  setTimeout(live, POLL);
}
// ---- On a narrow screen commands that are not needed for each alert are in a menu
const narrow = matchMedia("(max-width: 799px)");
const secondary = [...document.querySelectorAll(".commands > [data-secondary]")].map((command) => ({ command, mark: document.createComment("") }));
for (const { command, mark } of secondary) command.before(mark);

function arrange() {
  document.getElementById("more")?.remove();
  for (const { command, mark } of secondary) mark.after(command);
  if (!narrow.matches) return;
  const menu = document.createElement("details");
  menu.className = "menu";
  menu.id = "more";
  menu.innerHTML = '<summary class="command">More</summary><div class="menu-items"></div>';
  menu.lastElementChild.append(...secondary.map(({ command }) => command));
  document.querySelector(".commands").append(menu);
}
narrow.addEventListener("change", arrange);
arrange();
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll().then(note, () => note(false)); });
window.addEventListener("error", (event) => showError(event.message));
showSelection();
setTimeout(live, POLL);
