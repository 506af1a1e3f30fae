// Sensor onboarding: copying the token and the commands.
import { announce } from "../tools.js";

for (const button of document.querySelectorAll("[data-copy]")) {
  // Browsers offer the clipboard only over HTTPS and on localhost.
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    announce("Copied");
  });
}
