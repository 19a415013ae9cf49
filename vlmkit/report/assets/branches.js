// Confusion by branch of the taxonomy, from the top down.

const WIDEST_MATRIX = 14;
const ELSEWHERE = Symbol("elsewhere");
const NO_LABEL = Symbol("no label");
const NAMES = { [ELSEWHERE]: "elsewhere", [NO_LABEL]: "no label" };

/** Shows the branches right below a node of a run's taxonomy; the node is a list of names, the root has none. */
function showBranches(run, node = []) {
  byId("branches").hidden = Object.keys(run.paths).length === 0;
  if (byId("branches").hidden) return;
  const branches = tally(run, node);
  byId("branch-path").replaceChildren(...crumbs(run, node));
  byId("branch-tables").replaceChildren(overview(run, node, branches), ...matrix(run, node, branches));
}

/** Counts, for each branch, its examples, those that are right, and where the predictions lie. */
function tally(run, node) {
  const branches = new Map();
  for (const example of run.examples) {
    const path = run.paths[example.target];
    if (example.outcome === "failed" || !isBelow(path, node) || path.length === node.length) continue;
    const name = path[node.length];
    if (!branches.has(name)) branches.set(name, { examples: 0, right: 0, inner: false, taken: new Map() });
    const branch = branches.get(name);
    const where = branchOf(run.paths[example.label], node);
    branch.examples += 1;
    branch.right += example.outcome === "right";
    branch.inner ||= path.length > node.length + 1;
    branch.taken.set(where, (branch.taken.get(where) ?? 0) + 1);
  }
  return new Map([...branches].sort(([one], [other]) => one.localeCompare(other)));
}

/** Returns the branch below a node that a path leads into. */
function branchOf(path, node) {
  if (path === undefined) return NO_LABEL;
  return isBelow(path, node) && path.length > node.length ? path[node.length] : ELSEWHERE;
}

function crumbs(run, node) {
  const steps = ["all", ...node];
  return steps.map((name, depth) =>
    depth === node.length
      ? element("span", { "aria-current": "location" }, name)
      : element("button", { type: "button", onclick: () => openNode(run, node.slice(0, depth)) }, name),
  );
}

function openNode(run, node) {
  showBranches(run, node);
  byId("branch-path").lastElementChild.setAttribute("tabindex", "-1");
  byId("branch-path").lastElementChild.focus();
}

function overview(run, node, branches) {
  const rows = [...branches].map(([name, branch]) => {
    const inside = branch.taken.get(name) ?? 0;
    const away = [...branch.taken].filter(([where]) => where !== name).sort((one, other) => other[1] - one[1]);
    return [
      branch.inner ? element("button", { type: "button", class: "link", onclick: () => openNode(run, [...node, name]) }, name) : name,
      counted(branch.examples),
      percent(branch.right / branch.examples),
      branch.inner ? percent(inside / branch.examples) : "",
      away.length ? cellButton(run, node, name, ...away[0], `${nameOf(away[0][0])} (${counted(away[0][1])})`) : "–",
    ];
  });
  return table(["Branch", "Examples", "Right", "In the branch", "Most often taken for"], rows, { class: "stacked" });
}

function matrix(run, node, branches) {
  const columns = [...new Set([...branches.keys(), ...[...branches.values()].flatMap(({ taken }) => [...taken.keys()])])];
  if (branches.size < 2 || columns.length > WIDEST_MATRIX) return [];
  const ordered = columns.sort((one, other) => (typeof one === "symbol") - (typeof other === "symbol"));
  const rows = [...branches].map(([name, branch]) => [
    name,
    ...ordered.map((where) => {
      const times = branch.taken.get(where) ?? 0;
      return times ? cellButton(run, node, name, where, times, counted(times), branch.examples) : "";
    }),
  ]);
  const made = table(["Target \\ prediction", ...ordered.map(nameOf)], rows, { class: "matrix" });
  return [element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusion matrix" }, made)];
}

/** Returns a button that shows the examples of a cell; with a total it is shaded by its share. */
function cellButton(run, node, name, where, times, text, total) {
  const words = `${[...node, name].join(" › ")} taken for ${nameOf(where)}`;
  const button = element(
    "button",
    {
      type: "button",
      class: total === undefined ? "link" : name === where ? "same" : "other",
      "aria-label": `${words}: ${counted(times)}, show`,
      onclick: () => showBranch([...node, name], (path) => branchOf(path, node) === where, words),
    },
    text,
  );
  if (total !== undefined) button.style.setProperty("--share", times / total);
  return button;
}

function nameOf(where) {
  return NAMES[where] ?? where;
}
