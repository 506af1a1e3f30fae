// What is typed in a panel between its request and a late answer stays: a refusal of what was sent does not replace it.
import { showError } from "./tools.js";

const sent = new WeakMap(); // request -> its form, and what was typed in it then
let later = []; // fields of the panel that is being replaced which were typed in since its request

const fields = (form) => [...form.elements].filter((each) => each.name && each.type !== "hidden" && !each.disabled && each.matches("input, select, textarea"));

function valueOf(field) {
  if (field.type === "file") return [...field.files].map(({ name, size }) => `${name} ${size}`).join("\n");
  if (field.matches("[type=checkbox], [type=radio]")) return field.checked ? field.value : "";
  return field.matches("select[multiple]") ? [...field.selectedOptions].map(({ value }) => value).join("\n") : field.value;
}

/** Return what is typed in a form; what an answer put into it meanwhile, such as an empty field, does not count. */
function typed(form) {
  return fields(form).filter(valueOf).map((field) => `${field.name}=${valueOf(field)}`).join("\n");
}

document.addEventListener("htmx:beforeRequest", ({ detail: { elt, xhr, requestConfig: { verb, triggeringEvent } } }) => {
  const form = verb === "get" ? null : elt.closest("#panel form");
  const first = sent.get(triggeringEvent?.detail?.confirmed); // confirm.js repeats what was sent then
  if (first) sent.set(xhr, first);
  else if (form) sent.set(xhr, { form, text: typed(form), values: new Map(fields(form).map((field) => [field, valueOf(field)])) });
});

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  later = [];
  if (detail.xhr.getResponseHeader("X-Confirm")) return; // confirm.js asks and repeats the request
  const was = sent.get(detail.xhr);
  if (!was || !detail.shouldSwap || !was.form.isConnected || typed(was.form) === was.text) return;
  if (!detail.target.contains(was.form)) {
    if (was.form.closest("#panel") && detail.xhr.getResponseHeader("HX-Trigger-After-Swap")?.includes("panel:close")) document.addEventListener("panel:closed", warn, { once: true });
  } else if (detail.xhr.status >= 400) {
    detail.shouldSwap = false;
    document.dispatchEvent(new CustomEvent("request:unanswered", { detail })); // for keys that were pressed meanwhile
    showError("Not done: what was sent was rejected. Check what you have typed since, then send it again.");
  } else later = fields(was.form).filter((field) => field.id && field.matches("textarea, input") && was.values.get(field) !== valueOf(field));
});

/** Show, beside what was done, that the rest was not. */
function warn() {
  const line = document.createElement("div");
  line.className = "message warning";
  line.textContent = "What you typed in the panel after that was not sent.";
  document.getElementById("messages").append(line);
}

// The panel comes back, for example with the comment that was added.
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id !== "panel") return;
  for (const old of later) {
    const field = document.querySelector(`#panel [id="${old.id}"]`);
    if (field?.type === old.type && !["checkbox", "radio", "file"].includes(old.type)) field.value = old.value;
  }
  later = [];
});
