// The examples, a page at a time.

const PER_PAGE = 48;

let pageNumber = 0;

/** Shows one page of examples. */
function showGallery(run, examples) {
  const last = Math.max(0, Math.ceil(examples.length / PER_PAGE) - 1);
  pageNumber = Math.min(pageNumber, last);
  const start = pageNumber * PER_PAGE;
  const visible = examples.slice(start, start + PER_PAGE);
  byId("gallery").replaceChildren(...visible.map((example, place) => card(example, () => showDetails(run, examples, start + place))));
  byId("count").textContent = examples.length
    ? `${counted(start + 1)} to ${counted(start + visible.length)} of ${counted(examples.length)}`
    : "No example passes the filters.";
  byId("pages").hidden = last === 0;
  byId("page").textContent = `Page ${counted(pageNumber + 1)} of ${counted(last + 1)}`;
  byId("previous").disabled = pageNumber === 0;
  byId("next").disabled = pageNumber === last;
}

/** Makes the buttons between pages work. */
function startGallery(changed) {
  for (const [id, step] of [["previous", -1], ["next", 1]]) {
    byId(id).addEventListener("click", () => {
      pageNumber += step;
      changed();
      byId("examples").focus();
    });
  }
}

/** Goes back to the first page. */
function toFirstPage() {
  pageNumber = 0;
}

function card(example, open) {
  const { sign, name } = OUTCOMES[example.outcome];
  const [first, ...more] = picturesOf(example);
  return element(
    "li",
    {},
    element(
      "button",
      { type: "button", class: "card", "aria-haspopup": "dialog", onclick: open },
      first
        ? element("img", { src: first, alt: "", loading: "lazy" })
        : element("span", { class: "no-picture" }, "no picture"),
      element("span", { class: `sign ${example.outcome}`, role: "img", "aria-label": name, title: name }, sign),
      more.length > 0 && element("span", { class: "between" }, `${more.length + 1} pictures`),
      element("span", { class: "answer" }, answerOf(example)),
      example.outcome !== "right" && example.target !== undefined &&
        element("span", { class: "between" }, `target: ${labelOf(example.target)}`),
      element("span", { class: "id" }, example.id),
    ),
  );
}
