// What the rule as typed would have done: asked for once typing has come to rest, for the server counts a week's executions.
import { csrfToken } from "./tools.js";

const ASK_AFTER = 700; // ms after the last check

let timer = 0;
let running = null;

async function fill(place, body, signal) {
  const answer = await fetch(place.dataset.effectUrl, { method: "POST", body, signal, headers: { "X-CSRFToken": csrfToken() } });
  place.innerHTML = answer.ok ? await answer.text() : "";
}

async function ask(form) {
  running = new AbortController();
  const { signal } = running;
  const body = new FormData(form);
  // One after the other: the second is quick, and both at once would hold up whoever else uses the portal.
  for (const place of form.querySelectorAll("[data-effect-url]")) await fill(place, body, signal).catch(() => {});
}

/** Show what the rule in `form` would do, or nothing while it cannot be applied. */
export function showEffect(form, isFine) {
  const section = form.querySelector(".effect");
  if (!section) return;
  clearTimeout(timer);
  running?.abort();
  const places = section.querySelectorAll("[data-effect-url]");
  if (!isFine) for (const place of places) place.replaceChildren();
  if (!isFine) return;
  if (places[0].childElementCount === 0) places[0].innerHTML = '<p class="soft">Counting the last days\' executions…</p>';
  timer = setTimeout(ask, ASK_AFTER, form);
}
