// Environment settings and onboarding: folding clouds, keeping the tree fresh, copying commands.
import { announce } from "./tools.js";

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

// The tree is fetched anew while nobody is in it: a swap must not take the focus or an open panel away.
setInterval(() => {
  const estate = document.getElementById("estate");
  const busy = !estate || document.hidden || estate.contains(document.activeElement) || document.querySelector("dialog[open]");
  if (!busy) htmx.trigger(estate, "estate:refresh");
}, REFRESH);

// Its answer gives way to what a person asked for meanwhile: a swap would take away the place where that is to go.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const asked = document.querySelector("#list-tools.htmx-request, #estate .htmx-request");
  if (detail.requestConfig.elt.id === "estate" && asked) detail.shouldSwap = false;
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    announce("Copied");
  });
}
