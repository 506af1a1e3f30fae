// Environment settings: folding clouds, and keeping the tree up to date.
const REFRESH = 5000;
const folded = new Set();

function fold() {
  for (const button of document.querySelectorAll("[data-fold]")) {
    const hidden = folded.has(button.dataset.fold);
    button.setAttribute("aria-expanded", String(!hidden));
    for (const row of [...button.closest("tbody").rows].slice(1)) row.hidden = hidden;
  }
}

document.addEventListener("click", (event) => {
  const menu = event.target.closest(".menu-items a")?.closest("details");
  if (menu) menu.open = false;
  const key = event.target.closest("[data-fold]")?.dataset.fold;
  if (!key) return;
  if (!folded.delete(key)) folded.add(key);
  fold();
});
document.addEventListener("htmx:afterSettle", (event) => { if (event.target.id === "estate") fold(); });

// The tree is refreshed only while the user is not in it: a swap must not take away the focus or an open panel.
setInterval(() => {
  const estate = document.getElementById("estate");
  const busy = !estate || document.hidden || estate.contains(document.activeElement) || document.querySelector("dialog[open]");
  if (!busy) htmx.trigger(estate, "estate:refresh");
}, REFRESH);

// A refresh is dropped if the user has sent a request since: its swap would remove that request's target.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const pending = document.querySelector("#list-tools.htmx-request, #estate .htmx-request");
  if (detail.requestConfig.elt.id === "estate" && pending) detail.shouldSwap = false;
});
