// Lay out the rows of a long list. At first only those in view are; the others follow in idle time, since screen readers
// cannot see a row that is not laid out.
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
