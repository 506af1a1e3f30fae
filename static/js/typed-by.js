// What somebody typed is shown to nobody who signs in after them: neither by a page that the browser kept alive, which
// session.js shows once it knows who is signed in, nor in fields that the browser fills in again after Back or a reload.
(() => {
  const root = document.documentElement;
  const { user } = document.currentScript.dataset;
  const hide = () => root.classList.add("unverified");
  if (performance.getEntriesByType("navigation")[0]?.type !== "navigate") hide();
  addEventListener("pagehide", (event) => { if (event.persisted) hide(); });
  addEventListener("pageshow", (event) => {
    if (event.persisted) return;
    const mark = document.getElementById("typed-by"); // filled in again with the fields
    if (mark.value && mark.value !== user) for (const form of document.forms) form.reset();
    mark.value = user;
    root.classList.remove("unverified");
  });
})();
