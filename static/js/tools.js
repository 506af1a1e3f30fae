// Small helpers for every page's module. No state: it does no harm if it is loaded twice.

/** Say `text` to a screen reader; the same text twice in a row is said twice. */
export function say(text) {
  const region = document.getElementById("status");
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = text; });
}

/** The value for the X-CSRFToken header. */
export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]').content;
}

/** Show an error line in the page's message area. */
export function notice(text) {
  const line = document.createElement("div");
  line.className = "message error";
  line.textContent = text;
  document.getElementById("messages").replaceChildren(line);
}
