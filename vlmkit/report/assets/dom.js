// Elements are built, never parsed: text from a run stays text.

/** Returns a new element with attributes, listeners (keys that begin with "on") and children. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== false));
  return made;
}

/** Returns the element with an id. */
function byId(id) {
  return document.getElementById(id);
}

/** Returns a table with named columns; a row is a list of cells, each a text, an element, or a list of these. */
function table(columns, rows, attributes = {}) {
  const cell = (value, place) =>
    place === 0
      ? element("th", { scope: "row" }, value)
      : element("td", { "data-name": columns[place] }, value);
  return element(
    "table",
    attributes,
    element("thead", {}, element("tr", {}, columns.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map(cell)))),
  );
}

/** Returns a whole number as text, with commas. */
function counted(number) {
  return number.toLocaleString("en");
}

/** Returns a share as text, in per cent. */
function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits)}%`;
}

/** Returns a score with two digits behind the point, or two that are not zero. */
function scoreText(score) {
  return Math.abs(score) < 0.01 && score !== 0 ? score.toPrecision(2) : score.toFixed(2);
}
