// Which examples are shown.

const form = byId("filters");

/** What was clicked in the taxonomy: the node above the targets, and a test of the way to the prediction. */
let chosenBranch;

/** Returns the examples of a run that pass all filters. */
function filtered(run) {
  const wanted = Object.fromEntries(new FormData(form));
  const text = wanted.text.trim().toLowerCase();
  const isTarget = labelTest(wanted.target);
  const isLabel = labelTest(wanted.label);
  const differs = comparison(wanted.compared);
  return run.examples.filter(
    (example) =>
      (!wanted.outcome || example.outcome === wanted.outcome) &&
      isTarget(example.target) &&
      isLabel(example.label) &&
      differs(example) &&
      (!text || searchText(example).includes(text)) &&
      (!chosenBranch || inBranch(run, example)),
  );
}

/** Returns a test of label numbers: whole names first, parts of names where no label has the name. */
function labelTest(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return () => true;
  const lower = labels.map((name) => name.toLowerCase());
  const exact = lower.includes(wanted);
  const fits = lower.map((name) => (exact ? name === wanted : name.includes(wanted)));
  return (number) => number !== undefined && fits[number];
}

/** Returns a test of examples against another run; the choice is the number of that run and where it is right. */
function comparison(chosen) {
  if (!chosen) return () => true;
  const [number, where] = chosen.split(" ");
  const right = new Map(runs[number].examples.map(({ id, outcome }) => [id, outcome === "right"]));
  const wanted = where === "here";
  return ({ id, outcome }) => (outcome === "right") === wanted && right.get(id) === !wanted;
}

function searchText(example) {
  example.search ??= [example.id, labelOf(example.target), labelOf(example.label), example.text, example.error]
    .join("\n")
    .toLowerCase();
  return example.search;
}

function inBranch(run, example) {
  return isBelow(run.paths[example.target], chosenBranch.target) && chosenBranch.accepts(run.paths[example.label]);
}

/** Whether a path leads through a node; a path that is not known leads through none. */
function isBelow(path, node) {
  return path !== undefined && node.every((name, depth) => path[depth] === name);
}

function clearFilters() {
  form.reset();
  chosenBranch = undefined;
}

/** Shows examples of a branch only, and goes there. */
function showBranch(target, accepts, words) {
  clearFilters();
  chosenBranch = { target, accepts };
  byId("branch-filter").firstElementChild.textContent = words;
  goToExamples();
}

/** Shows examples of one target with one prediction, and goes there. */
function showPair(target, label) {
  clearFilters();
  form.elements.target.value = target;
  form.elements.label.value = label;
  goToExamples();
}

function goToExamples() {
  form.dispatchEvent(new Event("input"));
  byId("examples").focus();
  byId("examples").scrollIntoView();
}

/**
 * Calls back whenever the filters change; typing is answered at once.
 *
 * Not at "change": that comes when a field is left by a click on an example, which would then be gone.
 */
function startFilters(changed) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", changed);
  byId("clear").addEventListener("click", () => {
    clearFilters();
    changed();
  });
  byId("branch-filter").querySelector("button").addEventListener("click", () => {
    chosenBranch = undefined;
    changed();
  });
  for (const button of document.querySelectorAll("button[data-target]")) {
    button.addEventListener("click", () => showPair(button.dataset.target, button.dataset.label));
  }
}

/** Shows how many examples each outcome has, and offers the labels that occur. */
function describeFilters(run) {
  const counts = Map.groupBy(run.examples, (example) => example.outcome);
  for (const place of form.querySelectorAll("[data-count]")) {
    const number = place.dataset.count ? (counts.get(place.dataset.count)?.length ?? 0) : run.examples.length;
    place.textContent = counted(number);
    const button = place.closest("label");
    button.hidden = number === 0 && !button.querySelector("input").checked && place.dataset.count !== "";
  }
  byId("compared").replaceChildren(element("option", { value: "" }, "all"), ...comparisons(run));
  offer("targets", run.examples.map((example) => example.target));
  offer("predictions", run.examples.map((example) => example.label));
}

function comparisons(run) {
  const others = [...runs.entries()].filter(([, other]) => other !== run && other.data === run.data);
  return others.flatMap(([number, { name }]) => [
    element("option", { value: `${number} here` }, `right here, not in ${name}`),
    element("option", { value: `${number} there` }, `right in ${name}, not here`),
  ]);
}

function offer(list, numbers) {
  const names = [...new Set(numbers)].filter((number) => number !== undefined).map(labelOf).sort();
  byId(list).replaceChildren(...names.map((value) => element("option", { value })));
}
