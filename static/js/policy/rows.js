// The rows of a long list are laid out in steps: at first only those in view, the others in idle time, since screen readers
// cannot see a row that is not laid out. What a column cuts off is whole in a tooltip.
const AT_ONCE = 20; // few enough that a key press does not have to wait

const later = window.requestIdleCallback ?? ((act) => setTimeout(act, 50));
let isScheduled = false;

function layOut() {
  isScheduled = false;
  const rows = document.querySelectorAll(".rules.many tbody tr:not(.laid-out)");
  for (const row of [...rows].slice(0, AT_ONCE)) row.classList.add("laid-out");
  if (rows.length > AT_ONCE) schedule();
}

function schedule() {
  if (!isScheduled) later(layOut);
  isScheduled = true;
}

document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "policy") schedule(); });
schedule();

document.addEventListener("pointerover", ({ target }) => {
  const cell = target.closest?.("#rule-rows td, #rule-rows .name a");
  if (!cell || cell.title || cell.querySelector("[title]")) return;
  if (cell.scrollWidth > cell.clientWidth || cell.scrollHeight > cell.clientHeight) cell.title = cell.textContent.trim();
});
