// One example in a dialog, with the way to its neighbours.

const dialog = byId("details");

/** The run, the examples that the filters left, and the place of the one that is shown. */
let shown;

/** Opens the dialog on one of a list of examples. */
function showDetails(run, examples, place) {
  shown = { run, examples, place };
  renderDetails();
  if (!dialog.open) dialog.showModal();
}

/** Makes the arrow keys and a click beside the dialog work; Escape closes it by itself. */
function startDetails() {
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") move(-1);
    if (event.key === "ArrowRight") move(1);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

function move(step) {
  const place = shown.place + step;
  if (place < 0 || place >= shown.examples.length) return;
  const focused = document.activeElement.id;
  shown.place = place;
  renderDetails();
  (byId(focused) ?? byId("details-close")).focus();
  dialog.scrollTop = 0;
}

function renderDetails() {
  const { run, examples, place } = shown;
  const example = examples[place];
  const bracket = brackets()[runs.indexOf(run)][run.examples.indexOf(example)];
  dialog.replaceChildren(
    element(
      "header",
      {},
      element("h2", { id: "details-title" }, example.id),
      element("nav", { "aria-label": "Neighbours" }, step("Previous", -1), step("Next", 1)),
      element("button", { type: "button", id: "details-close", autofocus: true, onclick: () => dialog.close() }, "Close"),
    ),
    element(
      "div",
      { class: "shown" },
      element("div", { class: "pictures" }, picturesOf(example).map((src) => element("img", { src, alt: "" }))),
      element("div", {}, verdict(example), elsewhere(run, example)),
    ),
    ...ranking(example),
    ...roundsView(example, bracket).filter(Boolean),
  );
}

function step(name, by) {
  const end = by < 0 ? shown.place === 0 : shown.place === shown.examples.length - 1;
  const id = `details-${name.toLowerCase()}`;
  return element("button", { type: "button", id, "aria-disabled": end && "true", onclick: () => move(by) }, name);
}

function verdict(example) {
  const { sign, name } = OUTCOMES[example.outcome];
  const facts = [
    ["Outcome", element("span", { class: example.outcome }, `${sign} ${name}`)],
    example.target !== undefined && ["Target", labelOf(example.target)],
    [example.error ? "Error" : example.text !== undefined ? "Reply" : "Prediction", answerOf(example)],
    ["Cost", `${counted(example.queries)} questions, ${counted(example.tokens)} tokens, ${example.seconds} s`],
  ];
  return factList(facts);
}

/** Returns what the other runs over the same data made of an example. */
function elsewhere(run, example) {
  const others = runs.filter((other) => other !== run && other.data === run.data);
  const found = others.map((other) => [other, other.examples.find(({ id }) => id === example.id)]);
  const facts = found.map(
    ([other, same]) => same && [other.name, element("span", { class: same.outcome }, `${OUTCOMES[same.outcome].sign} ${answerOf(same)}`)],
  );
  return facts.some(Boolean) && element("div", {}, element("h3", {}, "Other runs"), factList(facts));
}

function factList(facts) {
  return element("dl", { class: "verdict" }, facts.filter(Boolean).map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function ranking(example) {
  if (!example.ranking) return [];
  const rows = example.ranking.map(([number, score], place) => [
    `${place + 1}`,
    [labelOf(number), ...(number === example.target ? [element("span", { class: "tag" }, "target")] : [])],
    score === null ? "–" : scoreText(score),
  ]);
  return [element("h3", {}, "Top of the ranking"), table(["Rank", "Label", "Score"], rows, { class: "ranking" })];
}
