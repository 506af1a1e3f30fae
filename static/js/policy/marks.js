// Mark the rules that can never decide, and those with values that hardly match. Fetched after the list and after each change, since the server compares all rules.
import { fetchPart } from "../tools.js";

const MARK_AFTER = 400; // ms without another change, so that marks never delay a move

let requests = 0;
let timer = 0;

function shadowMark(rule) {
  const mark = document.createElement("button");
  mark.type = "button";
  mark.className = "badge warning shadow";
  mark.textContent = `Shadowed by ${rule.name}`;
  mark.title = `This rule never decides, because ${rule.name} above it matches first. Select to go there.`;
  mark.dataset.by = rule.by;
  return mark;
}

/** A mark of values that hardly match; it opens the rule, where each has its reason. */
function lintMark(rule, findings) {
  const mark = document.createElement("button");
  mark.type = "button";
  mark.className = "badge warning lint-mark";
  mark.textContent = findings.length === 1 ? "1 value to check" : `${findings.length} values to check`;
  mark.title = findings.join("\n");
  mark.dataset.rule = rule;
  return mark;
}

async function mark() {
  requests += 1;
  const mine = requests;
  const response = await fetchPart(document.getElementById("policy").dataset.marksUrl);
  if (!response || mine !== requests) return;
  const { shadowed, lint } = await response.json();
  for (const old of document.querySelectorAll("#rule-rows .shadow, #rule-rows .lint-mark")) old.remove();
  for (const row of document.querySelectorAll("#rule-rows tr.rule")) {
    const found = shadowed[row.dataset.id];
    if (found) row.querySelector(".name").append(" ", shadowMark(found));
    if (lint[row.dataset.id]) row.querySelector(".name").append(" ", lintMark(row.dataset.id, lint[row.dataset.id]));
  }
}

document.addEventListener("click", (event) => {
  const opened = event.target.closest("#rule-rows .lint-mark");
  if (opened) document.getElementById(`open-${opened.dataset.rule}`).click();
  const pressed = event.target.closest("#rule-rows .shadow");
  if (!pressed) return;
  const link = document.getElementById(`open-${pressed.dataset.by}`);
  link.scrollIntoView({ block: "center" });
  link.focus();
});
document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.requestConfig.verb !== "get") clearTimeout(timer); });
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.requestConfig.verb === "get") return;
  clearTimeout(timer);
  timer = setTimeout(mark, MARK_AFTER);
});
mark();
