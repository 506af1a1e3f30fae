// Show what the rule as typed would have done. Fetched after a pause in typing, since the server counts a week of executions.
import { csrfToken, fetchPart } from "../tools.js";

const FETCH_AFTER = 700; // ms after the last check
const AGAIN_AFTER = 2_000; // ms, where another count of the user is running

let timer = 0;
let running = null;

async function fill(place, body, signal) {
  const response = await fetchPart(place.dataset.effectUrl, { method: "POST", body, signal, headers: { "X-CSRFToken": csrfToken() } });
  const shown = response ? await response.text() : "";
  if (signal.aborted) return;
  place.innerHTML = shown;
  if (place.querySelector("[data-again]")) setTimeout(again, AGAIN_AFTER, place, body, signal);
}

async function again(place, body, signal) {
  if (!signal.aborted && place.isConnected) await fill(place, body, signal).catch(() => {});
}

async function load(form) {
  running = new AbortController();
  const { signal } = running;
  const body = new FormData(form);
  // One after the other: both at once would slow the portal down for other users.
  for (const place of form.querySelectorAll("[data-effect-url]")) await fill(place, body, signal).catch(() => {});
}

/** Show what the rule in `form` would do; nothing while it has errors. */
export function showEffect(form, isValid) {
  const section = form.querySelector(".effect");
  if (!section) return;
  clearTimeout(timer);
  running?.abort();
  const places = section.querySelectorAll("[data-effect-url]");
  if (!isValid) for (const place of places) place.replaceChildren();
  if (!isValid) return;
  if (places[0].childElementCount === 0) places[0].innerHTML = '<p class="soft">Counting the last days\' executions…</p>';
  timer = setTimeout(load, FETCH_AFTER, form);
}
