// Says aloud that a run has ended, when the live part is replaced by its result.

import { say } from "./tools.js";

const SAID = { done: "The backtest is done.", failed: "The backtest failed.", cancelled: "The backtest was cancelled." };

document.addEventListener("htmx:afterSwap", () => {
  const run = document.getElementById("run");
  if (run && !run.hasAttribute("hx-trigger") && SAID[run.dataset.state]) say(SAID[run.dataset.state]);
});
