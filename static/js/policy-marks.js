// Marks on the list that cost the server a look at all rules: asked for after the list is there, and again after each change.
const MARK_AFTER = 400; // ms without another change: marks never hold up a move

let asked = 0;
let timer = 0;

function markOf(rule) {
  const mark = document.createElement("button");
  mark.type = "button";
  mark.className = "badge warning shadow";
  mark.textContent = `Shadowed by ${rule.name}`;
  mark.title = `This rule never decides: ${rule.name}, above it, always does. Press to go there.`;
  mark.dataset.by = rule.by;
  return mark;
}

async function mark() {
  asked += 1;
  const mine = asked;
  const answer = await fetch(document.getElementById("policy").dataset.marksUrl).catch(() => null);
  if (!answer?.ok || mine !== asked) return;
  const { shadowed } = await answer.json();
  for (const old of document.querySelectorAll("#rule-rows .shadow")) old.remove();
  for (const row of document.querySelectorAll("#rule-rows tr.rule")) {
    const found = shadowed[row.dataset.id];
    if (found) row.querySelector(".name").append(" ", markOf(found));
  }
}

document.addEventListener("click", (event) => {
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
