// Fill in how often each rule decided in the last days, and when it last did. Fetched after the list, and again filled in after each swap.
const number = new Intl.NumberFormat("en");

// A user with single namespaces: hits are counted by cluster.
const UNKNOWN = "–";

let hits = null;

const minute = (time) => time.slice(0, 16).replace("T", " ");

function fill() {
  if (!hits) return;
  const isUnknown = hits.rules === null;
  for (const row of document.querySelectorAll("#rule-rows tr")) {
    if (isUnknown) {
      row.querySelector(".hits").textContent = row.querySelector(".matched").textContent = UNKNOWN;
      continue;
    }
    const found = hits.rules[row.dataset.id];
    row.querySelector(".hits").textContent = number.format(found?.execs ?? 0);
    row.querySelector(".matched").textContent = found ? minute(found.last_at) : "Never matched";
  }
  document.getElementById("default-ignored").textContent = isUnknown ? UNKNOWN : number.format(hits.ignored_by_default);
}

async function load() {
  const url = document.getElementById("policy").dataset.hitsUrl;
  const response = url && await fetch(url).catch(() => null);
  if (!response?.ok) return;
  hits = await response.json();
  fill();
}

document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "policy") fill(); });
load();
