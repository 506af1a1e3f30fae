// Triage by keyboard: single keys, which can be turned off (WCAG 2.1.4) and do nothing while typing.
import { announce } from "../tools.js";

const STORED = "alerts-keys";
const on = () => localStorage.getItem(STORED) !== "off";
const rows = () => [...document.querySelectorAll("#alerts tbody tr[data-alert]")];
const here = () => document.activeElement?.closest("#alerts tbody tr[data-alert]");

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(here());
  const next = at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step));
  all[next].querySelector(".alert-name a").focus();
  all[next].scrollIntoView({ block: "nearest" });
}

function toggle() { here()?.querySelector('[name="alert"]')?.click(); }

/** Return a selected alert; without one, select the alert that has the focus. */
function choose() {
  if (!document.querySelector('#alerts [name="alert"]:checked, #everything [name="alert"]')) toggle();
  return document.querySelector('#alerts [name="alert"]:checked, #everything [name="alert"]');
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  x: toggle,
  e: () => choose() && document.querySelector('#change-status [value="dismissed"]').click(),
  a: () => choose() && document.getElementById("assign-me").click(),
  "/": () => document.getElementById("search").focus(),
  "?": help,
};

function help() {
  const dialog = document.getElementById("keys");
  document.getElementById("keys-on").checked = on();
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select, dialog, details[open]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !on() || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
document.addEventListener("click", (event) => { if (event.target.closest("[data-keys]")) help(); });
document.getElementById("keys-on")?.addEventListener("change", (event) => {
  localStorage.setItem(STORED, event.target.checked ? "on" : "off");
  announce(event.target.checked ? "Keyboard shortcuts on" : "Keyboard shortcuts off");
});
