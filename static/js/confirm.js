// A change that needs a confirmation of who makes it: shows the dialog, then repeats the request. The page stays as it is.

import { showError } from "./tools.js";
import "./accounts/passkey.js";

const HEADER = "X-Confirm";
let opener = null;

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.xhr.getResponseHeader(HEADER) !== "identity") return;
  detail.shouldSwap = false;
  open(detail.xhr, detail.requestConfig);
});

function open(xhr, request) {
  const place = document.getElementById("confirmation");
  opener = document.activeElement;
  place.innerHTML = xhr.responseText; // from our own server, under a policy that runs no inline script
  const dialog = place.firstElementChild;
  dialog.addEventListener("close", close);
  dialog.addEventListener("click", (event) => { if (event.target.closest("[data-confirm-cancel]")) dialog.close(); });
  dialog.addEventListener("submit", (event) => { event.preventDefault(); send(event.target, request, xhr); });
  dialog.showModal();
  dialog.querySelector("input:not([type=hidden]), button")?.focus();
}

function close() {
  document.getElementById("confirmation").replaceChildren();
  if (opener?.isConnected) opener.focus();
}

async function send(form, request, xhr) {
  if (form.dataset.sent) return; // pressed again before the answer: the request would be repeated twice
  form.dataset.sent = "yes";
  const body = new FormData(form);
  const response = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" }, redirect: "manual" }).catch(() => null);
  if (response?.status === 204 && response.headers.get("HX-Trigger") === "confirmed") {
    form.closest("dialog").close();
    repeat(request, xhr);
  } else if (response?.status === 422) {
    const focus = document.activeElement?.name;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("form");
    form.replaceWith(document.importNode(fresh, true));
    document.querySelector(`#confirmation [name="${focus || "confirm-password"}"]`)?.focus();
  } else {
    form.closest("dialog").close();
    showError(response ? "You are signed out. Nothing was changed." : "The portal cannot be reached. Nothing was changed.");
  }
}

function repeat({ verb, path, elt, target, formData }, xhr) {
  const values = {};
  for (const name of formData.keys()) values[name] = formData.getAll(name);
  const source = elt.isConnected ? elt : document.getElementById(elt.id) ?? document.body;
  const event = new CustomEvent("confirmed", { detail: { confirmed: xhr } }); // late-answers.js: what is typed since then was not sent
  htmx.ajax(verb.toUpperCase(), path, { source, event, target: target.isConnected ? target : `#${target.id}`, values, swap: swapOf(source) });
}

const swapOf = (element) => element.closest("[hx-swap]")?.getAttribute("hx-swap") ?? "innerHTML";
