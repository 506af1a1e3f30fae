// How often each rule decided lately, and when last: asked for after the list is there, and filled in wherever a row is new.
const number = new Intl.NumberFormat("en");

let hits = null;

const minute = (time) => time.slice(0, 16).replace("T", " ");

function fill() {
  if (!hits) return;
  for (const row of document.querySelectorAll("#rule-rows tr")) {
    const found = hits.rules[row.dataset.id];
    row.querySelector(".hits").textContent = number.format(found?.execs ?? 0);
    row.querySelector(".matched").textContent = found ? minute(found.last_at) : "Never matched";
  }
  document.getElementById("default-ignored").textContent = number.format(hits.ignored_by_default);
}

async function ask() {
  const url = document.getElementById("policy").dataset.hitsUrl;
  const answer = url && await fetch(url).catch(() => null);
  if (!answer?.ok) return;
  hits = await answer.json();
  fill();
}

document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "policy") fill(); });
ask();
