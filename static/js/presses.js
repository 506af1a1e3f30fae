// What is pressed counts once, wherever a late answer has moved it meanwhile.

const STILL = 5; // px that a hand moves while it presses
const UNANSWERED = 10_000; // ms
const CONTROLS = "a[href], button, summary, label, input[type=checkbox], input[type=radio]";

// ---- An answer that arrives while a button is held down moves or replaces it: browsers then click what contains both places, or nothing.
let pressed = null;

document.addEventListener("mousedown", (event) => {
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  const control = isPlain ? event.target.closest?.(CONTROLS) : null;
  pressed = control && { control, x: event.clientX, y: event.clientY };
}, true);
document.addEventListener("mouseup", (event) => {
  const was = pressed;
  pressed = null;
  if (!was || Math.hypot(event.clientX - was.x, event.clientY - was.y) > STILL) return;
  const { control } = was;
  if (control.isConnected && control.contains(event.target)) return; // the browser's own click follows
  const shown = control.isConnected ? control : document.getElementById(control.id);
  // A switch that has changed meanwhile would be switched back.
  if (shown?.getAttribute("aria-checked") === control.getAttribute("aria-checked")) shown?.click();
}, true);

// ---- A form that leaves the page is sent once, also if Enter is pressed again before the next page comes.
let leaving = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (leaving.has(form)) { event.preventDefault(); return; }
  leaving.add(form);
  setTimeout(() => leaving.delete(form), UNANSWERED);
});
addEventListener("pageshow", () => { leaving = new WeakSet(); });
