// Helpers for every page's module. Stateless, so loading it twice under two hashed names is harmless.

/** Announce `text` to screen readers. Emptied first, so that the same text twice in a row is announced twice. */
export function announce(text) {
  const region = document.getElementById("status");
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = text; });
}

/** Return the value of the X-CSRFToken header. */
export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]').content;
}

/** Show an error in the page's message area. */
export function showError(text) {
  const line = document.createElement("div");
  line.className = "message error";
  line.textContent = text;
  document.getElementById("messages").replaceChildren(line);
}
