// The rows of the list of rules. Stateless.
export const list = () => document.getElementById("policy");
export const body = () => document.getElementById("rule-rows");
export const rules = () => [...body().querySelectorAll("tr.rule")];
export const checkbox = (row) => row.querySelector("input[type=checkbox]");
export const isChecked = (row) => checkbox(row).checked;
export const ruleName = (row) => row.querySelector(".name a").textContent;
export const order = () => rules().map((row) => row.dataset.id);
export const canEdit = () => list().dataset.canEdit === "true";
export const isSearched = () => list().classList.contains("searched");
