// Ctrl+Z takes back the draft's newest change, as the button Undo does. In a field it stays the browser's own.
import { announce } from "../tools.js";

const isTyping = (element) => element.matches("textarea, select, [contenteditable], input:not([type=checkbox], [type=radio], [type=button], [type=submit])");

document.addEventListener("keydown", (event) => {
  const isUndo = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "z";
  if (!isUndo || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  const button = document.getElementById("undo");
  if (button) button.click();
  else announce("Nothing to undo");
});
