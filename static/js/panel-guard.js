// Panels of the policy and of the estate: Back closes them, and what was typed in one is lost only after a confirmation.
const open = () => document.querySelector("#panel > dialog.panel");
const form = () => open()?.querySelector("form[method=post]");

let pristine = "";
let isSending = false;

/** Return what is typed in the panel's form as a string; the order of fields, empty ones and the token, which session.js replaces, do not count. */
function typed(found) {
  const value = (each) => (each instanceof File ? `${each.name} ${each.size}` : each);
  const counts = ([name, each]) => name !== "csrfmiddlewaretoken" && value(each) !== "" && value(each) !== " 0";
  return [...new FormData(found)].filter(counts).map(([name, each]) => `${name}=${value(each)}`).sort().join("\n");
}

/** Return what the server sent in the form: what is typed before this script is ready differs from it too. */
function sent(found) {
  const copy = found.cloneNode(true);
  copy.reset();
  return typed(copy);
}

/** Whether the panel has something that is not on the server: typed since it opened, or rejected by the server. */
function isTyped() {
  const found = form();
  return Boolean(found) && !isSending && ("typed" in found.dataset || typed(found) !== pristine);
}

function adopt() {
  isSending = false;
  if (!open()) return;
  if (form()) pristine = sent(form());
  if (history.state?.panel) return;
  history.scrollRestoration = "manual"; // closing must not scroll the list behind the panel
  if (history.state?.htmx) history.replaceState(null, ""); // htmx would load the page again when the panel closes
  history.pushState({ panel: true }, "");
}

document.addEventListener("panel:closing", (event) => {
  if (event.defaultPrevented || !isTyped()) return;
  if (!window.confirm("Discard what you typed in this panel?")) event.preventDefault();
});
document.addEventListener("panel:closed", () => { if (history.state?.panel) history.back(); });
/** Close the panel, and give the focus back once more if the browser, on a busy machine, ends the navigation only now. */
function closeAndKeepFocus() {
  document.body.dispatchEvent(new CustomEvent("panel:close"));
  const opener = document.activeElement;
  const again = (event) => { if (!event.relatedTarget) setTimeout(() => opener.focus()); };
  opener.addEventListener("focusout", again, { once: true });
  setTimeout(() => opener.removeEventListener("focusout", again), 2_000);
}

/** Close the panel that Back has left, or return to it. */
function leave() {
  const dialog = open();
  if (!dialog || history.state?.panel) return;
  if (dialog.dispatchEvent(new CustomEvent("panel:closing", { bubbles: true, cancelable: true }))) closeAndKeepFocus();
  else history.pushState({ panel: true }, "");
}
window.addEventListener("popstate", () => {
  if (!history.state?.panel) history.scrollRestoration = "auto";
  setTimeout(leave); // the browser takes the focus away at the end of this navigation
});
window.addEventListener("beforeunload", (event) => { if (isTyped()) event.preventDefault(); });
// A form that leaves the page is not lost.
document.addEventListener("submit", (event) => { if (event.target === form() && !event.defaultPrevented) isSending = true; });
document.addEventListener("htmx:beforeRequest", () => { isSending = false; });

document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "panel") adopt(); });
adopt();
