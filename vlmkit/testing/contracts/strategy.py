"""What every strategy promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from functools import cache
from itertools import zip_longest

import PIL.Image

from vlmkit.arbitrary import answer
from vlmkit.contracts import Strategy
from vlmkit.errors import UserError
from vlmkit.testing.contracts.rules import ContractError, Rules
from vlmkit.types import (
    Answer,
    Ask,
    Ballot,
    Capability,
    Choose,
    Classify,
    Encode,
    Generate,
    Image,
    Letter,
    Outcome,
    Prediction,
    Query,
    Task,
    Taxonomy,
)

LABEL_COUNTS = (0, 1, 2, 7, 60)
"""Sizes of the label spaces that a strategy is tried on."""

MOST_ROUNDS = 1_000
"""Rounds after which a strategy counts as one that never ends."""

Step = tuple[Query, ...] | Prediction | UserError
"""One step of a strategy at work: the queries of a round, then the prediction or the refusal."""


def check_strategy(
    strategy: Strategy, *, free_questions: bool = False, taxonomy: bool = False, other_images: bool = False
) -> None:
    """Hold a strategy to its contract; its queries get arbitrary answers, some of them ``None`` or invalid.

    ``requires`` is a frozenset of capabilities that covers the readouts and interventions of its queries. ``solve`` is
    a generator: it yields sequences of queries about the task's images, with options from the task's labels, each once,
    and returns a ``Prediction`` in the end, for any number of labels from none on and for every answer that its queries
    allow. What it asks and predicts depends on the task and the answers alone, not on other tasks solved before or at
    the same time. Its module, where that can be imported by name, loads neither torch nor transformers.

    The label is one of the task's, or None, or the raw reply of an invalid ballot. A trace, where there is one, counts
    the queries asked. A ``UserError`` for more labels than there are letters counts as a refusal and is accepted.
    Where the task has a taxonomy, its nodes may be offered by name, and one of them be the answer.

    Args:
        strategy: The strategy.
        free_questions: Whether it solves ``Ask`` tasks as well.
        taxonomy: Whether the tasks have a taxonomy.
        other_images: Whether its queries may show images that it makes of the task's.

    Raises:
        ContractError: It breaks a rule.
    """
    rules = Rules(type(strategy).__name__)
    _check_requires(rules, strategy)
    loaded = _loads_a_framework(type(strategy).__module__)
    rules.demand(not loaded, "its module must load neither torch nor transformers", "importing it does")
    tasks: list[Task] = [_classify(count, seed, taxonomy) for count in LABEL_COUNTS for seed in (0, 1)]
    if free_questions:
        tasks.append(Ask(images=_images(0), question="What is this?", id="question"))
    for refusals in (0.0, 0.5, 1.0):
        _check_tasks(rules, strategy, tasks, refusals, other_images)


def _check_tasks(rules: Rules, strategy: Strategy, tasks: Sequence[Task], refusals: float, other_images: bool) -> None:
    """Solve the tasks one by one, again in the opposite order, and all at the same time."""

    def watch(task: Task) -> Iterator[Step]:
        return _watch(rules, strategy, task, refusals, other_images)

    alone = [list(watch(task)) for task in tasks]
    rule = "the same task must be solved by the same steps, whatever came before"
    with rules.no_error(rule):
        again = [list(watch(task)) for task in reversed(tasks)][::-1]
    _compare(rules, tasks, alone, again, rule)
    rule = "tasks solved at the same time must not change each other"
    with rules.no_error(rule):
        abreast = _abreast([watch(task) for task in tasks])
    _compare(rules, tasks, alone, abreast, rule)


def _classify(count: int, seed: int, taxonomy: bool) -> Classify:
    labels = [f"label {number}" for number in range(count)]
    return Classify(
        images=_images(seed),
        labels=labels[::-1] if seed else labels,
        id=f"{count} labels",
        seed=seed,
        taxonomy=_taxonomy(labels) if taxonomy and labels else None,
    )


def _taxonomy(labels: Sequence[str]) -> Taxonomy:
    """Return a ragged tree: families of different size, every second label one level deeper."""
    return Taxonomy(
        (f"family {number % 3}", *([f"genus {number % 7} of family {number % 3}"] if number % 2 else []), label)
        for number, label in enumerate(labels)
    )


def _images(shade: int) -> tuple[Image, ...]:
    return (Image(PIL.Image.new("RGB", (4, 4), (shade, 0, 0))),)


def _check_requires(rules: Rules, strategy: Strategy) -> None:
    with rules.no_error("requires must be readable"):
        requires = strategy.requires
    sound = isinstance(requires, frozenset) and all(isinstance(one, Capability) for one in requires)
    rules.demand(sound, "requires must be a frozenset of Capability", f"it is {requires!r}")


@cache
def _loads_a_framework(module: str) -> bool:
    """Import the module in a fresh process; one that cannot be imported there passes."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; import {module}; "
        "sys.exit(3 if {'torch', 'transformers'} & set(sys.modules) else 0)"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 3


def _watch(rules: Rules, strategy: Strategy, task: Task, refusals: float, other_images: bool) -> Iterator[Step]:
    """Solve a task step by step and check every step."""
    with rules.no_error("solve() must return a generator"):
        solving = strategy.solve(task)
    rules.demand(isinstance(solving, Generator), "solve() must be a generator", f"it returned {type(solving).__name__}")
    asked: list[Query] = []
    answers: list[Answer] | None = None
    given: list[Answer] = []
    for _ in range(MOST_ROUNDS):
        try:
            queries = next(solving) if answers is None else solving.send(answers)
        except StopIteration as stop:
            _check_prediction(rules, task, asked, given, stop.value)
            yield stop.value
            return
        except Exception as error:
            if isinstance(error, UserError) and isinstance(task, Classify) and len(task.labels) > Letter.limit:
                yield error
                return
            raise ContractError(
                f"{rules.subject}: {_named(task)} must end with a Prediction, "
                f"but it raised {type(error).__name__}: {error}"
            ) from error
        _check_queries(rules, strategy, task, queries, other_images)
        yield tuple(queries)
        asked.extend(queries)
        answers = [answer(query, refusals) for query in queries]
        given.extend(answers)
    raise ContractError(f"{rules.subject}: {_named(task)} must come to an end, but had {MOST_ROUNDS} rounds")


def _check_queries(rules: Rules, strategy: Strategy, task: Task, queries: Sequence[Query], other_images: bool) -> None:
    sound = isinstance(queries, Sequence) and all(isinstance(query, Choose | Generate | Encode) for query in queries)
    rules.demand(sound, "solve() must yield sequences of queries", f"it yielded {_short(queries)}")
    for query in queries:
        for need in (change.requires for change in query.interventions):
            covered = need in strategy.requires
            rules.demand(covered, "requires must cover its interventions", f"{need!r} is missing")
        strange = any(image not in task.images for image in query.images)
        rules.demand(other_images or not strange, "queries must be about the task's images", "one shows another image")
        if isinstance(query, Encode):
            covered = query.requires in strategy.requires
            rules.demand(covered, "requires must cover its queries", f"{query.requires!r} is missing")
        if isinstance(query, Generate) and query.temperature:
            covered = Capability.SAMPLE in strategy.requires
            rules.demand(covered, "requires must cover its queries", f"{Capability.SAMPLE!r} is missing")
        if not isinstance(query, Choose):
            continue
        names = [option.name for option in query.options]
        rules.demand(set(names) <= _offered(task), "options must be the task's labels", f"{_short(names)} were offered")
        rules.demand(len(set(names)) == len(names), "a query must offer a label once", f"{_short(names)} were offered")
        need = query.readout.requires
        covered = need in strategy.requires
        rules.demand(covered, "requires must cover its queries", f"{need!r} is missing in {strategy.requires!r}")


def _offered(task: Task) -> set[str]:
    if isinstance(task, Ask):
        return set()
    nodes = () if task.taxonomy is None else task.taxonomy.nodes
    return {*task.labels.names, *(node[-1] for node in nodes)}


def _check_prediction(
    rules: Rules, task: Task, asked: Sequence[Query], given: Sequence[Answer], prediction: object
) -> None:
    if not isinstance(prediction, Prediction):
        rules.demand(False, "solve() must return a Prediction", f"it returned {_short(prediction)}")
        return
    if isinstance(task, Ask):
        replied = isinstance(prediction.text, str) and prediction.label is None
        rules.demand(replied, "a free question must be answered by a text and no label", f"{prediction} came")
        return
    names = task.labels.names
    raw = {ballot.reply for ballot in given if isinstance(ballot, Ballot) and ballot.outcome is Outcome.INVALID}
    inner = set() if task.taxonomy is None else set(map(task.taxonomy.label_of, task.taxonomy.nodes))
    known = prediction.label is None or prediction.label in {*names, *raw, *inner}
    rules.demand(known, "the label must be None or one of the task's", f"{prediction.label!r} was predicted")
    ranked = prediction.ranking.labels
    sound = set(ranked) <= set(names) and len(set(ranked)) == len(ranked)
    rules.demand(sound, "the ranking must hold the task's labels, each once", f"it holds {_short(ranked)}")
    counted = sum(round.queries for round in prediction.trace)
    rules.demand(
        not prediction.trace or counted == len(asked),
        "the rounds of a trace must count the queries asked",
        f"they count {counted} of {len(asked)}",
    )


def _abreast(watches: Sequence[Iterator[Step]]) -> list[list[Step]]:
    """Let all strategies take turns, one step each, and return the steps of each."""
    turns = zip(*zip_longest(*watches), strict=True)
    return [[step for step in steps if step is not None] for steps in turns]


def _compare(
    rules: Rules, tasks: Sequence[Task], before: Sequence[list[Step]], after: Sequence[list[Step]], rule: str
) -> None:
    for task, first, second in zip(tasks, before, after, strict=True):
        same = list(map(_comparable, first)) == list(map(_comparable, second))
        rules.demand(same, rule, f"{_named(task)} was solved in two ways")


def _comparable(step: Step) -> object:
    """Errors are equal if their words are."""
    return str(step) if isinstance(step, UserError) else step


def _named(task: Task) -> str:
    return f"a task with {task.id}, seed {task.seed}," if isinstance(task, Classify) else "a free question"


def _short(value: object) -> str:
    words = repr(value)
    return words if len(words) <= 80 else f"{words[:77]}..."
