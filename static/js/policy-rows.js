// Of a long list only the rows in sight are laid out at first. The others follow while there is nothing else to do, for a
// screen reader finds nothing in a row that is not laid out.
const AT_ONCE = 20; // so few that no key waits for them

const later = window.requestIdleCallback ?? ((act) => setTimeout(act, 50));
let asked = false;

function layOut() {
  asked = false;
  const rows = document.querySelectorAll(".rules.many tbody tr:not(.laid-out)");
  for (const row of [...rows].slice(0, AT_ONCE)) row.classList.add("laid-out");
  if (rows.length > AT_ONCE) ask();
}

function ask() {
  if (!asked) later(layOut);
  asked = true;
}

document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "policy") ask(); });
ask();
