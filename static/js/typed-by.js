// What somebody typed is shown to nobody who signs in after them: neither by a page that the browser kept alive, which
// session.js shows once it knows who is signed in, nor in fields that the browser fills in again after Back or a reload.
(() => {
  const root = document.documentElement;
  const { user } = document.currentScript.dataset;
  const isFilledIn = performance.getEntriesByType("navigation")[0]?.type !== "navigate";
  const typedBy = () => document.getElementById("typed-by")?.value; // filled in again with the fields
  let looking;

  /** Empty the fields unless this user left them: where it is not known who did, they left before the page was read. */
  function settle() {
    clearInterval(looking);
    if (typedBy() !== user && (typedBy() || isFilledIn)) for (const form of document.forms) form.reset();
    const mark = document.getElementById("typed-by");
    if (mark) mark.value = user;
    root.classList.remove("unverified-fields");
  }

  if (isFilledIn) {
    root.classList.add("unverified-fields");
    // Browsers do not report when they fill in fields: while the page is read, soon after it, or just before `pageshow`.
    looking = setInterval(() => { if (typedBy()) settle(); }, 20);
    // After a stop no `pageshow` follows.
    document.addEventListener("readystatechange", () => { if (document.readyState === "complete") setTimeout(settle, 1_000); });
  } else document.addEventListener("DOMContentLoaded", settle);
  addEventListener("pagehide", (event) => { if (event.persisted) root.classList.add("unverified"); });
  addEventListener("pageshow", (event) => { if (!event.persisted) settle(); });
})();
