// The form of an import is read by htmx for its preview, and sent as a plain form when contacts are to be added.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("import");
  form.addEventListener("submit", (event) => {
    event.stopImmediatePropagation();
    event.submitter?.setAttribute("aria-busy", "true");
  }, true);
  // A file that was chosen before the page was ready, or that the browser kept on the way back, is read, too.
  if (form.elements.file.files.length || form.elements.pasted.value.trim()) htmx.trigger(form, "preview");
  // Columns that come with the preview ask for another one when they are changed.
  document.body.addEventListener("change", (event) => {
    if (event.target.matches("#import-preview select")) htmx.trigger(form, "preview");
  });
});
