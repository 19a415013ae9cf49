// Puts the parts together.

const runChoice = byId("run");

/** Shows the examples that the filters leave. */
function showExamples() {
  const run = currentRun();
  byId("branch-filter").hidden = chosenBranch === undefined;
  showGallery(run, filtered(run));
}

function currentRun() {
  return runs[runChoice?.value ?? 0];
}

function showRun() {
  for (const part of document.querySelectorAll("[data-run]")) part.hidden = part.dataset.run !== (runChoice?.value ?? "0");
  chosenBranch = undefined;
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
runChoice?.addEventListener("change", showRun);
showRun();
