// The panel of a suppression rule: Apply is disabled until a name, a condition, and the expiration day if chosen.
const panel = () => document.querySelector("#panel .suppression")?.closest("form");

function sync() {
  const form = panel();
  if (!form) return;
  const { name, expiration, expires } = form.elements;
  const filled = [...form.querySelectorAll(".entities textarea")].some((area) => area.value.trim());
  form.querySelector("[type=submit]").disabled = !name.value.trim() || !filled || (expiration.value === "date" && !expires.value);
}

document.addEventListener("input", sync);
document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target.id === "panel") sync(); });
