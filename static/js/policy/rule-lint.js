// Show what the lint says of each field of the rule panel, with a button that takes what was probably meant.

/** Return the element of each field that can have a finding, by the field's path. */
function places(form) {
  const found = new Map();
  for (const builder of form.querySelectorAll("[data-builder]")) {
    builder.querySelectorAll("[data-conditions] > [data-condition]").forEach((card, at) => {
      const path = `${builder.dataset.builder}[${at}]`;
      found.set(`${path}.property`, card.querySelector("[data-card-lint]"));
      card.querySelectorAll("[data-row]").forEach((row, index) => found.set(`${path}.any_of[${index}].value`, row));
    });
  }
  const filled = [...form.querySelectorAll("[data-entry]")].filter((entry) => entry.querySelector("input").value.trim());
  filled.forEach((entry, index) => found.set(`allow_list[${index}]`, entry));
  return found;
}

function fill(note, finding) {
  note.hidden = !finding;
  const warning = note.querySelector(".lint-warning");
  warning.hidden = !finding?.warning;
  warning.textContent = finding?.warning ?? "";
  const button = note.querySelector("button");
  button.hidden = !finding?.suggestion;
  button.value = finding?.step ?? "";
  button.querySelector(".lint-words").textContent = finding?.suggestion ?? "";
}

/** Show the findings, by path of their field, and clear the others. */
export function showLint(form, findings) {
  for (const [path, place] of places(form)) fill(place.querySelector("[data-lint]"), findings[path]);
  const accounts = form.querySelector("[data-account-lint]");
  const notes = Object.entries(findings).filter(([path]) => path.startsWith("cloud_scope")).map(([, finding]) => {
    const note = form.querySelector("[data-lint]").cloneNode(true);
    fill(note, finding);
    return note;
  });
  accounts.replaceChildren(...notes);
}
