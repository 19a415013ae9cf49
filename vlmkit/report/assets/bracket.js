// The rounds of a strategy: who entered, who was asked about together, who went on.

const WITHOUT_CHOICE = { none: "None", invalid: "invalid reply" };

/** Returns the rounds of an example: with all options where they were logged, else as numbers. */
function roundsView(example, bracket) {
  if (!example.rounds && !bracket) return [];
  const rounds = example.rounds ?? [];
  const number = Math.max(rounds.length, bracket?.length ?? 0);
  return [
    element("h3", {}, "Rounds"),
    rounds.length > 1 && funnel(rounds),
    element(
      "ol",
      { class: "rounds" },
      Array.from({ length: number }, (_, place) =>
        element(
          "li",
          {},
          rounds[place] && element("p", {}, inWords(rounds[place])),
          bracket?.[place] && questions(bracket[place], wentOn(bracket, rounds, place), example),
        ),
      ),
    ),
    !bracket && element("p", { class: "between" }, "Only numbers: the options of each question are kept by vlmkit run --log-samples, for as many examples as --brackets says."),
  ];
}

function funnel(rounds) {
  const steps = [...rounds.map(([candidates]) => candidates), rounds.at(-1)[2]];
  return element("p", { class: "funnel" }, steps.map(counted).join(" → "), " labels");
}

function inWords([candidates, asked, survivors, none, invalid, survived]) {
  const plural = (number, name) => `${counted(number)} ${name}${number === 1 ? "" : "s"}`;
  return [
    `${plural(candidates, "label")} in ${plural(asked, "question")}, ${counted(survivors)} went on`,
    none && `${counted(none)} answered None`,
    invalid && `${counted(invalid)} invalid`,
    survived === true && "the target among them",
    survived === false && "the target not among them",
  ]
    .filter(Boolean)
    .join("; ");
}

/** Returns the options of the next round; none where that begins anew because nobody went on. */
function wentOn(bracket, rounds, place) {
  const nobody = rounds[place]?.[2] === 0;
  return new Set(nobody ? [] : (bracket[place + 1] ?? []).flatMap((question) => question.options ?? []));
}

function questions(round, later, example) {
  return element(
    "div",
    { class: "groups" },
    round.map((question) => (question.options ? group(question, later, example) : plainAnswer(question))),
  );
}

function plainAnswer(question) {
  return element("p", { class: "reply" }, question.error ?? question.reply ?? "features");
}

/** Returns one question: its winner, and behind it all options, best first. */
function group(question, later, example) {
  const shares = probabilities(question);
  const order = question.options.map((_, place) => place);
  if (shares) order.sort((one, other) => shares[other] - shares[one]);
  const won = (number) => number === question.choice || later.has(number);
  const about = question.options.includes(example.target);
  const winner = question.choice === undefined ? WITHOUT_CHOICE[question.outcome] : labelOf(question.choice);
  const chosen = question.options.indexOf(question.choice);
  return element(
    "details",
    { class: about ? "group about" : "group", open: about },
    element(
      "summary",
      {},
      element("span", { class: "winner" }, winner),
      shares && chosen >= 0 && element("span", { class: "between" }, ` ${percent(shares[chosen], 0)}`),
      element("span", { class: "between" }, ` of ${counted(question.options.length)}`),
    ),
    element(
      "ol",
      {},
      order.map((place) => {
        const number = question.options[place];
        return element(
          "li",
          { class: won(number) ? "won" : undefined },
          element("span", {}, labelOf(number), number === example.target && element("span", { class: "tag" }, "target")),
          shares && element("span", { class: "between" }, ` ${percent(shares[place])}`),
        );
      }),
    ),
    question.reply !== undefined && element("p", { class: "reply" }, "Reply: ", question.reply),
  );
}

/** Returns each option's share of the probability of all that could be answered; undefined without scores. */
function probabilities(question) {
  if (!question.scores) return undefined;
  const all = [...question.scores, question.none].filter((score) => score !== null && score !== undefined);
  const best = Math.max(...all);
  const sum = all.reduce((total, score) => total + Math.exp(score - best), 0);
  return question.scores.map((score) => (score === null ? 0 : Math.exp(score - best) / sum));
}
