// Puts the parts together.

const choice = byId("run");

/** Shows the examples that the filters leave. */
function showExamples() {
  const run = currentRun();
  byId("branch-filter").hidden = branch === undefined;
  showGallery(run, filtered(run));
}

function currentRun() {
  return runs[choice?.value ?? 0];
}

function showRun() {
  for (const part of document.querySelectorAll("[data-run]")) part.hidden = part.dataset.run !== (choice?.value ?? "0");
  branch = undefined;
  toFirstPage();
  describeFilters(currentRun());
  showBranches(currentRun());
  showExamples();
}

startTheme();
startDetails();
startGallery(showExamples);
startFilters(() => {
  toFirstPage();
  showExamples();
});
choice?.addEventListener("change", showRun);
showRun();
