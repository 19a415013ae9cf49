"""Divide-and-conquer inference: a tournament of questions with few labels each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from attrs import Factory, field, frozen
from attrs.validators import ge, in_

from vlmkit import (
    Aggregator,
    Ask,
    Ballot,
    Capability,
    Classify,
    Label,
    Likelihood,
    Outcome,
    Prediction,
    Ranking,
    Readout,
    Reply,
    Round,
    Solving,
    Task,
)
from vlmkit.errors import SpecError, UnknownNameError
from vlmkit_strategies.aggregators.winners import Winners
from vlmkit_strategies.flat import Flat
from vlmkit_strategies.grouping import Grouping, Similarity, partition

Policy = Literal["scored", "paper", "june-2026"]
OnEmpty = Literal["null", "forced-flat"]
SingleSurvivor = Literal["return", "query"]
FinalInvalid = Literal["null", "raw"]

POLICIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "scored": {
            "readout": Likelihood(),
            "grouping": "random",
            "allow_none": False,
            "final_allow_none": False,
            "on_empty": "null",
            "single_survivor": "return",
            "final_invalid": "null",
        },
        "paper": {
            "readout": Reply(parser="exact-raw-v1"),
            "grouping": "random",
            "allow_none": True,
            "final_allow_none": True,
            "on_empty": "null",
            "single_survivor": "return",
            "final_invalid": "null",
        },
        "june-2026": {
            "readout": Reply(parser="strip-casefold-v1"),
            "grouping": "list",
            "allow_none": True,
            "final_allow_none": False,
            "on_empty": "forced-flat",
            "single_survivor": "query",
            "final_invalid": "raw",
        },
    }
)
"""What each policy makes the default of every other option."""


def _known_policy(name: Policy) -> Policy:
    if name not in POLICIES:
        raise UnknownNameError("policy", name, POLICIES)
    return name


def _by_policy(option: str) -> Any:
    """Return the default that takes an option's value from the policy."""
    return Factory(lambda self: POLICIES[self.policy][option], takes_self=True)


@frozen(kw_only=True)
class DCI:
    """Cuts the labels into groups, asks about each group, and goes on with the survivors until one group is left.

    The policy sets the defaults of the options after it: ``scored`` reads likelihoods and offers no ``None``;
    ``paper`` is release 0.4.0 (September 2026) of the authors' code to the letter; ``june-2026`` is their first one.

    A label alone in the last group is asked about only if the group questions allow ``None``: otherwise there is one
    answer, and it goes on to the next round unasked.

    Args:
        group_size: Most labels in one question.
        aggregator: Turns the ballots of a round into its survivors; must leave out some option of a full group.
        similarity: How alike labels are, for the two similar groupings (``Similarity.read`` says in which form).
        policy: Which defaults hold for the options below.
        readout: How each choice is read off the model.
        grouping: How labels are put into groups, in every round anew.
        allow_none: Whether the questions about groups offer ``None``; a group that takes it has no survivor.
        final_allow_none: Whether the last question offers ``None``.
        on_empty: After a round without survivors: a null prediction, or one question over all labels of that round,
            without ``None``.
        single_survivor: Whether one label left is returned or asked about like several.
        final_invalid: What an invalid reply to the last question predicts: null, or the raw reply.

    Raises:
        SpecError: Options contradict each other.

    Source: arXiv 2605.24799, Algorithm 1.
    """

    group_size: int = field(default=20, validator=ge(2))
    aggregator: Aggregator = field(factory=Winners)
    similarity: Path | None = None
    policy: Policy = field(default="scored", converter=_known_policy)
    readout: Readout = field(default=_by_policy("readout"))
    grouping: Grouping = field(default=_by_policy("grouping"), validator=in_(get_args(Grouping)))
    allow_none: bool = field(default=_by_policy("allow_none"))
    final_allow_none: bool = field(default=_by_policy("final_allow_none"))
    on_empty: OnEmpty = field(default=_by_policy("on_empty"), validator=in_(get_args(OnEmpty)))
    single_survivor: SingleSurvivor = field(
        default=_by_policy("single_survivor"), validator=in_(get_args(SingleSurvivor))
    )
    final_invalid: FinalInvalid = field(default=_by_policy("final_invalid"), validator=in_(get_args(FinalInvalid)))

    def __attrs_post_init__(self) -> None:
        if self.grouping.endswith("similar") and self.similarity is None:
            raise SpecError(f"dci: grouping={self.grouping} needs similarity", hint="give similarity=FILE.npz or .csv")
        if self.similarity is not None and not self.grouping.endswith("similar"):
            raise SpecError(
                f"dci: grouping={self.grouping} makes no use of similarity",
                hint="give grouping=most-similar or grouping=least-similar",
            )
        full = Ballot.scored([str(number) for number in range(self.group_size)], [0.0] * self.group_size)
        self._check_shrinks(len(self.aggregator([full])), self.group_size)

    @property
    def requires(self) -> frozenset[Capability]:
        """The capability of the readout."""
        return frozenset({self.readout.requires})

    def solve(self, task: Task) -> Solving:
        """Solve one task: a round of concurrent queries a level, then one last query.

        A free question has no labels to divide and is put as it stands.

        Raises:
            SpecError: The aggregator leaves as many labels as it was given.
            DataError: The similarity file cannot be used.
        """
        if isinstance(task, Ask):
            return (yield from Flat().solve(task))
        labels, rng = tuple(task.labels), task.rng()
        trace: tuple[Round, ...] = ()
        while len(labels) > self.group_size:
            groups = partition(
                labels,
                self.group_size,
                grouping=self.grouping,
                rng=rng,
                similarity=self._read_similarity,
                taxonomy=task.taxonomy,
            )
            unasked = groups.pop() if len(groups[-1]) == 1 and not self.allow_none else ()
            ballots = yield [task.choose(group, readout=self.readout, allow_none=self.allow_none) for group in groups]
            survivors = (*self.aggregator(ballots).labels, *(label.name for label in unasked))
            self._check_shrinks(len(survivors), len(labels))
            trace = (*trace, Round.of(len(labels), ballots, survivors))
            if not survivors and self.on_empty == "forced-flat":
                return (yield from self._decide(task, labels, trace, allow_none=False))
            labels = tuple(map(task.labels.label, survivors))
        if not labels:
            return Prediction(None, trace=trace)
        if len(labels) == 1 and self.single_survivor == "return":
            return Prediction(labels[0].name, Ranking(((labels[0].name, 0.0),)), trace)
        return (yield from self._decide(task, labels, trace, allow_none=self.final_allow_none))

    def _decide(
        self, task: Classify, labels: Sequence[Label], trace: tuple[Round, ...], *, allow_none: bool
    ) -> Solving:
        """Ask the last question."""
        (ballot,) = yield [task.choose(labels, readout=self.readout, allow_none=allow_none)]
        raw = ballot.outcome is Outcome.INVALID and self.final_invalid == "raw"
        return Prediction(
            label=ballot.reply if raw else ballot.choice,
            ranking=ballot.ranking,
            trace=(*trace, Round.of(len(labels), [ballot])),
        )

    @cached_property
    def _read_similarity(self) -> Similarity | None:
        return None if self.similarity is None else Similarity.read(self.similarity)

    def _check_shrinks(self, after: int, before: int) -> None:
        """Refuse an aggregator with which the rounds would never end.

        Raises:
            SpecError: It keeps every label.
        """
        if after >= before:
            raise SpecError(
                f"dci: aggregator {self.aggregator} keeps {after} of {before} labels",
                hint=f"use winners, or topk with k below group_size={self.group_size}",
            )
