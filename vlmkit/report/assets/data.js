// What the page holds: small things are read at once, large ones when they are first needed.

const OUTCOMES = {
  right: { sign: "✓", name: "right" },
  wrong: { sign: "✗", name: "wrong" },
  none: { sign: "∅", name: "no label" },
  failed: { sign: "!", name: "failed" },
  unjudged: { sign: "·", name: "not judged" },
};

const { labels, runs } = read("examples");
const pictures = later("pictures");
const brackets = later("brackets");

/** Returns a block of JSON of the page. */
function read(name) {
  return JSON.parse(byId(`data-${name}`).textContent);
}

/** Returns a function that reads a block when it is first called. */
function later(name) {
  let block;
  return () => (block ??= read(name));
}

/** Returns the label with a number, or a dash for none. */
function labelOf(number) {
  return number === undefined ? "–" : labels[number];
}

/** Returns the pictures of an example as data: addresses; none where the page was written without. */
function picturesOf(example) {
  return example.picture === undefined ? [] : pictures()[example.picture];
}

/** Returns what an example came to, in words: its label, its reply, or why there is neither. */
function answerOf(example) {
  return example.error ?? example.text ?? (example.label === undefined ? "no label" : labelOf(example.label));
}
