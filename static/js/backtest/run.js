// Announces that a run has ended, when the live part is replaced by its result.

import { announce } from "../tools.js";

const ANNOUNCEMENTS = { done: "Backtest done", failed: "Backtest failed", cancelled: "Backtest cancelled" };

document.addEventListener("htmx:afterSwap", () => {
  const run = document.getElementById("run");
  const announcement = run && !run.hasAttribute("hx-trigger") && ANNOUNCEMENTS[run.dataset.state];
  if (announcement) announce(announcement);
});
