"""Drives strategies on real examples with answers that no model gave, and counts what the answers would have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import evolve, field, frozen

from vlmkit.arbitrary import answer
from vlmkit.contracts import Backend, Strategy
from vlmkit.data.opening import Opener
from vlmkit.engine import Engine, Solved
from vlmkit.errors import BackendError, DataError, SpecError
from vlmkit.measures.flops import TextShape, VisionShape
from vlmkit.planning.figures import Figures, Flops, Planned, Rate, Weights
from vlmkit.prompts import Prompt
from vlmkit.tokentree import TokenTreeBackend
from vlmkit.tokentree.dry import DryBackend
from vlmkit.tokentree.work import Work, shapes
from vlmkit.types import Answer, Capability, Example, LabelSpace, Query, Taxonomy, Tokens, Usage

TIMED = 4
"""Examples that a rate is measured on, after one that warms up."""


@frozen
class Planner:
    """Plans strategies for one model and data set.

    Args:
        backend: The model's backend; only ``measure`` makes it load.
        examples: The examples to drive strategies on.
        labels: What may be answered.
        prompt: The words of the questions.
        seed: The run's seed.
        in_flight: Most examples worked on at once.
        taxonomy: The tree that the labels are leaves of.
        opener: Opens the pictures.
    """

    backend: Backend
    examples: Sequence[Example]
    labels: LabelSpace
    prompt: Prompt
    seed: int = 0
    in_flight: int = 32
    taxonomy: Taxonomy | None = None
    opener: Opener = field(factory=Opener)

    def plan(self, name: str, strategy: Strategy, rate: Rate | None = None) -> Planned:
        """Drive a strategy and return what it costs.

        Args:
            name: The strategy's spec.
            strategy: The strategy.
            rate: How fast tokens go through, if it is known.

        Raises:
            UserError: The request as a whole is wrong.
            DataError: Every example failed.
        """
        dry = self.dry()
        done, failed = self._solve(strategy, _Unanswered(self.backend, dry))
        usage = sum((solved.usage for solved in done), Usage())
        figures = Figures(
            queries=usage.queries / len(done),
            rounds=sum(_rounds(solved) for solved in done) / len(done),
        )
        trunk_bytes = None
        if dry is not None:
            figures = _counted(figures, usage, self._flops(dry.work), len(done))
            assert figures.trunk is not None
            trunk_bytes = figures.trunk * dry.family.kv_bytes
        return Planned(name, figures, len(failed), trunk_bytes, rate)

    def measure(self, strategy: Strategy) -> Rate:
        """Load the model and time it on a few examples.

        Raises:
            UserError: The model cannot be loaded.
            SpecError: Its tokens cannot be planned, so that a rate is of no use.
            BackendError: It answers nothing that could be timed.
        """
        if self._first_dry is None:
            raise SpecError("this model's tokens cannot be planned, so a rate is of no use", hint="leave --measure out")
        first, timed = self.examples[:1], self.examples[1 : 1 + TIMED] or self.examples[:1]
        self._solve(strategy, self.backend, first)
        done, _ = self._solve(strategy, self.backend, timed)
        usage = sum((solved.usage for solved in done), Usage())
        if not usage.tokens.total or not usage.seconds:
            raise BackendError("no token went through the model, so there is no rate", hint="leave --measure out")
        return Rate(usage.tokens.total / usage.seconds, "measured")

    def dry(self) -> DryBackend | None:
        """Return a fresh backend without weights, or None where there can be none."""
        return None if self._first_dry is None else evolve(self._first_dry, work=Work())

    @cached_property
    def weights(self) -> Weights | None:
        """What the weights take."""
        if self._first_dry is None:
            return None
        family = self._first_dry.family
        parameters = list(family.model.parameters())
        return Weights(
            parameters=sum(one.numel() for one in parameters),
            dtype=str(self.backend.identity["dtype"]),
            bytes=sum(one.nbytes for one in parameters),
            kv_bytes=family.kv_bytes,
            trunk_bytes_at_most=self._first_dry.limits.trunk_bytes,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What cannot be said of this model, and why."""
        if self._first_dry is None:
            # Not its identity: a server would be asked for that.
            kind = type(self.backend).__name__
            return (f"tokens, memory and time are not planned: {kind} runs no token trees here",)
        missing = [part for part, shape in zip(("text", "vision"), self._shapes, strict=True) if shape is None]
        if missing:
            return (f"FLOPs are not counted: there is no formula for the {' and '.join(missing)} part of this model",)
        return ()

    @cached_property
    def _first_dry(self) -> DryBackend | None:
        if not isinstance(self.backend, TokenTreeBackend) or self.backend.sketch is None:
            return None
        return DryBackend.of(self.backend)

    @cached_property
    def _shapes(self) -> tuple[TextShape | None, VisionShape | None]:
        assert self._first_dry is not None
        return shapes(self._first_dry.family.model.config)

    def _flops(self, work: Work) -> Flops | None:
        text, vision = self._shapes
        if text is None or vision is None:
            return None
        return Flops(*work.flops(text, vision))

    def _solve(
        self, strategy: Strategy, backend: Backend, examples: Sequence[Example] | None = None
    ) -> tuple[list[Solved], list[Solved]]:
        """Return the examples that were solved, and those that failed."""
        engine = Engine(strategy, backend, in_flight=self.in_flight, keep_exchanges=True, opener=self.opener)
        chosen = self.examples if examples is None else examples
        done: list[Solved] = []
        failed: list[Solved] = []
        solving = engine.solve(chosen, self.labels, seed=self.seed, prompt=self.prompt, taxonomy=self.taxonomy)
        for solved in solving:
            (done if solved.error is None else failed).append(solved)
        if not done:
            raise DataError(f"all {len(failed):,} examples failed ({failed[0].error})", hint="mend the first")
        return done, failed


@frozen
class _Unanswered:
    """Gives the answers that no model gave, with the bill of a dry backend where there is one.

    Args:
        backend: Whose place it takes.
        dry: Bills the queries.
    """

    backend: Backend
    dry: DryBackend | None = field(default=None)

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self.backend.capabilities

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.backend.identity

    def answer(self, queries: Sequence[Query]) -> Sequence[Answer]:
        answers = [answer(query) for query in queries]
        if self.dry is None:
            return answers
        billed = self.dry.answer(queries)
        return [evolve(one, usage=bill.usage) for one, bill in zip(answers, billed, strict=True)]

    def close(self) -> None:
        """Do nothing: the backend is its owner's."""


def _counted(figures: Figures, usage: Usage, flops: Flops | None, done: int) -> Figures:
    tokens: Tokens = usage.tokens
    return evolve(
        figures,
        forwards=usage.forwards / done,
        images_encoded=usage.images_encoded / done,
        trunk=tokens.trunk / done,
        branch=tokens.branch / done,
        generated_at_most=tokens.generated / done,
        flops=None if flops is None else Flops(flops.text / done, flops.vision / done),
    )


def _rounds(solved: Solved) -> int:
    return max((exchange.round + 1 for exchange in solved.exchanges), default=0)
