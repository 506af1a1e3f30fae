// Fill in how often each rule decided in the last days, and when it last did. Fetched after the list, and again filled in after each swap.
import { fetchPart } from "../tools.js";

const number = new Intl.NumberFormat("en");

const AGAIN_AFTER = 2_000; // ms, where another count of the user is running

// A user with single namespaces: hits are counted by cluster.
const UNKNOWN = "–";

let hits = null;
let workloads = null;
let requests = 0;

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { style: "narrow" });

/** Return how long ago a time was: `5 min ago`. */
function ago(time) {
  const seconds = (Date.now() - new Date(time)) / 1_000;
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? [];
  return unit ? relative.format(-Math.floor(seconds / size), unit) : "just now";
}

const exact = (time) => `${time.slice(0, 19).replace("T", " ")} UTC`;

function fill() {
  if (!hits) return;
  const isUnknown = hits.rules === null;
  for (const row of document.querySelectorAll("#rule-rows tr")) {
    if (isUnknown) {
      row.querySelector(".execs").textContent = row.querySelector(".matched").textContent = UNKNOWN;
      continue;
    }
    const found = hits.rules[row.dataset.id];
    row.querySelector(".execs").textContent = number.format(found?.execs ?? 0);
    const matched = row.querySelector(".matched");
    matched.textContent = found ? ago(found.last_at) : "Never matched";
    if (found) matched.title = exact(found.last_at);
  }
  document.getElementById("default-ignored").textContent = isUnknown ? UNKNOWN : number.format(hits.ignored_by_default);
}

/** Show how many workloads of the last days each rule's scope matches, and warn of rules that match none. */
function fillWorkloads() {
  if (!workloads || workloads.total === 0) return;
  for (const row of document.querySelectorAll("#rule-rows tr.rule")) {
    const place = row.querySelector(".workloads");
    if (workloads.rules === null) {
      place.textContent = "not counted";
      place.title = workloads.limit ? "Too many workloads to count which of them its scope matches" : "The portal did not answer";
      place.classList.remove("none");
      continue;
    }
    const count = workloads.rules[row.dataset.id];
    place.textContent = count === undefined ? "" : `${number.format(count)} workload${count === 1 ? "" : "s"}`;
    place.title = count === 0 ? "Matches no workload of the last 7 days" : `Its scope matches ${place.textContent} of ${number.format(workloads.total)}`;
    place.classList.toggle("none", count === 0);
  }
}

async function loadWorkloads() {
  requests += 1;
  const mine = requests;
  const url = document.getElementById("policy").dataset.workloadsUrl;
  const response = url && await fetchPart(url);
  if (!url || mine !== requests) return;
  // Without an answer, what is shown may be of a scope that has changed since.
  const found = response ? await response.json() : { total: null, rules: null };
  // A superseded one may still be counted.
  if (found.is_busy) { setTimeout(() => { if (mine === requests) loadWorkloads(); }, AGAIN_AFTER); return; }
  workloads = found;
  fillWorkloads();
}

async function load() {
  const url = document.getElementById("policy").dataset.hitsUrl;
  const response = url && await fetchPart(url);
  if (!response) return;
  hits = await response.json();
  fill();
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "policy") return;
  fill();
  fillWorkloads();
  loadWorkloads();
});
load();
loadWorkloads();
