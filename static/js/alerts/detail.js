// One alert: copy buttons, and a body that stays current.
import { announce } from "../tools.js";

const POLL = 2000;
const page = () => document.querySelector("[data-alert-url]");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.value ?? source.textContent);
  announce("Copied");
  button.dataset.copied = "yes";
});

/** Reload the body of the page. */
async function reload() {
  await window.htmx.ajax("GET", location.pathname + location.search, { target: "#alert-body", swap: "innerHTML" });
}
document.body.addEventListener("alerts:changed", () => reload().finally(() => document.body.dispatchEvent(new Event("alerts:reloaded"))));
addEventListener("pageshow", (event) => { if (event.persisted && !busy()) reload(); }); // kept alive by the browser

function busy() {
  const typing = document.activeElement?.matches("#alert-body textarea, #alert-body input");
  const written = [...document.querySelectorAll("#alert-body textarea:not([readonly])")].some((area) => area.value);
  return typing || written || document.querySelector("details.menu[open], dialog[open]");
}

async function poll() {
  const { pulse, url } = page().dataset;
  const answer = await fetch(`${url}?etag=${encodeURIComponent(pulse)}`, { headers: { "X-Poll": "1" }, redirect: "manual", cache: "no-store" });
  if (answer.status === 401) document.dispatchEvent(new Event("session:ended"));
  if (answer.status !== 200 || busy()) return;
  polling = true;
  await reload().finally(() => { polling = false; });
}
let polling = false;
// What was opened or typed while a poll reloads the page stays: the next poll tries again.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (polling && event.detail.target.id === "alert-body" && busy()) event.detail.shouldSwap = false;
});

async function live() {
  try {
    if (!document.hidden) await poll();
  } catch {
    // The portal cannot be reached: the next poll retries.
  }
  setTimeout(live, POLL);
}
setTimeout(live, POLL);
