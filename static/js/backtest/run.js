// Announces that a run has ended, when the live part is replaced by its result.

import { announce } from "../tools.js";

const ENDS = { done: "done", failed: "failed", cancelled: "cancelled" };

document.addEventListener("htmx:afterSwap", () => {
  const run = document.getElementById("run");
  const end = run && !run.hasAttribute("hx-trigger") && ENDS[run.dataset.state];
  if (end) announce(`${run.dataset.name} ${end}`);
});
