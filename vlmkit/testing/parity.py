"""A backend's scores against plain full forwards of the same checkpoint, in every situation of ``situations``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import torch
from attrs import evolve, frozen

from vlmkit.contracts import Backend
from vlmkit.data.images import open_image
from vlmkit.engine.models import build_backend
from vlmkit.errors import BackendError, UnknownNameError
from vlmkit.registry import Builder
from vlmkit.testing.located import located
from vlmkit.testing.models import RECIPES
from vlmkit.testing.plain import Plain
from vlmkit.testing.situations import SITUATIONS, Situation, write_pictures
from vlmkit.tokentree import Limits
from vlmkit.types import Ballot, Capability, Choose, Failed, Letter, Likelihood, Readout

TOLERANCES: Mapping[str, float] = MappingProxyType({"float32": 1e-4, "bfloat16": 1.25, "float16": 0.15})
"""Largest difference between two log-probabilities that counts as rounding, in nats, by precision.

The small models and ``tiny`` differ by 3e-5 in float32, 0.6 in bfloat16 and 0.06 in float16; deeper ones round more.
"""

READOUTS: Mapping[str, Readout] = MappingProxyType({"likelihood": Likelihood(), "letter": Letter()})
"""The readouts that give scores."""


@frozen
class Parity:
    """How one model did in one situation with one readout.

    Args:
        model: As it was asked for.
        readout: One of ``READOUTS``.
        situation: Name of the situation.
        queries: Number of questions; 0 where model or backend do not know the situation.
        options: Number of scores compared.
        difference: Largest difference of a score from that of a plain forward, in nats.
        same_choice: How many questions got the choice of the plain forwards.
        within: Whether every score is within the tolerance, and every other choice explained by it.
    """

    model: str
    readout: str
    situation: str
    queries: int = 0
    options: int = 0
    difference: float = 0.0
    same_choice: int = 0
    within: bool = True


def tolerance_of(dtype: str) -> float:
    """Return the tolerance of a precision.

    Raises:
        UnknownNameError: It is none that models are loaded in.
    """
    if dtype not in TOLERANCES:
        raise UnknownNameError("dtype", dtype, TOLERANCES)
    return TOLERANCES[dtype]


def model_names() -> tuple[str, ...]:
    """Return what is compared by default: a small random model of every type that can be made, and ``tiny``."""
    return (*sorted(RECIPES), "tiny")


def measure(
    model: str,
    builder: Builder,
    *,
    device: str | None,
    dtype: str,
    tolerance: float,
    situations: Sequence[Situation] = SITUATIONS,
    plain_dtype: str | None = None,
) -> list[Parity]:
    """Compare one model, in every situation with every readout.

    Args:
        model: As ``located`` takes it.
        builder: Builds the adapter.
        device: Device of both sides; None takes CUDA where there is one.
        dtype: Precision of both sides.
        tolerance: Largest difference that passes, in nats.
        situations: What to put the model into.
        plain_dtype: Precision of the plain side, where it is another.

    Raises:
        UserError: The model cannot be loaded, or has no checkpoint to load plainly.
        BackendError: A question failed, or a situation did not come about.
    """
    with TemporaryDirectory() as folder, _full_precision():
        images = [open_image(path) for path in write_pictures(Path(folder))]
        found = located(model, builder, Path(folder))
        backend = partial(build_backend, found.model, builder, device=device, dtype=dtype)
        backend().close()  # says better than transformers would what is wrong with the request
        plain = Plain(found.checkpoint, device, plain_dtype or dtype)
        asked = [
            (readout, situation, situation.questions(images, plain, READOUTS[readout]))
            for readout in READOUTS
            for situation in situations
        ]
        # The backend is closed before the plain model loads: memory need not hold both.
        answered = _answered(backend, [(situation, queries) for _, situation, queries in asked])
        return [
            _compared(Parity(model, readout, situation.name), queries, ballots, plain, tolerance)
            for (readout, situation, queries), ballots in zip(asked, answered, strict=True)
        ]


def _answered(
    opened: Callable[[], Backend], asked: Sequence[tuple[Situation, Sequence[Choose]]]
) -> list[Sequence[Ballot]]:
    """Return the ballots of every situation; none for questions that the backend cannot take."""
    ballots: list[Sequence[Ballot]] = [()] * len(asked)
    for budget in {situation.budget for situation, _ in asked}:
        with closing(opened()) as backend:
            if budget is not None and not _limit(backend, budget):
                continue
            for index, (situation, queries) in enumerate(asked):
                if situation.budget == budget and _can_take(backend, queries):
                    ballots[index] = _ballots(backend, queries)
                    tokens = sum(ballot.usage.tokens.branch for ballot in ballots[index])
                    if budget is not None and tokens <= budget:
                        raise BackendError(f"{situation.name}: {tokens} tokens are not more than {budget}")
    return ballots


def _limit(backend: Any, tokens: int) -> bool:
    """Bound the tokens of one forward; return whether the backend has such a bound."""
    limits = getattr(backend, "limits", None)
    if isinstance(limits, Limits):
        backend.limits = evolve(limits, tokens=tokens)
    return isinstance(limits, Limits)


def _can_take(backend: Backend, queries: Sequence[Choose]) -> bool:
    needed = {query.readout.requires for query in queries}
    if any(len(query.images) > 1 for query in queries):
        needed.add(Capability.MULTI_IMAGE)
    return bool(queries) and needed <= backend.capabilities


def _ballots(backend: Backend, queries: Sequence[Choose]) -> list[Ballot]:
    ballots = []
    for answer in backend.answer(queries):
        if isinstance(answer, Failed):
            raise BackendError(f"a question failed: {answer.error}") from answer.error
        assert isinstance(answer, Ballot)
        ballots.append(answer)
    return ballots


def _compared(
    start: Parity, queries: Sequence[Choose], ballots: Sequence[Ballot], plain: Plain, tolerance: float
) -> Parity:
    """Compare ballots with plain forwards.

    Another choice is explained where plain forwards score it lower by no more than twice the tolerance: both scores may
    be off by one.
    """
    differences, same, explained = [0.0], 0, True
    for query, ballot in zip(queries, ballots, strict=bool(ballots)):
        assert ballot.log_probs is not None and ballot.choice is not None
        expected = plain.log_probs(query)
        differences += [0.0 if a == b else abs(a - b) for a, b in zip(ballot.log_probs, expected, strict=True)]
        lead = max(expected) - expected[ballot.options.index(ballot.choice)]
        same += lead == 0
        explained &= lead <= 2 * tolerance
    worst = max(differences, key=lambda value: (value != value, value))  # not-a-number is worse than any number
    return evolve(
        start,
        queries=len(ballots),
        options=len(differences) - 1,
        difference=worst,
        same_choice=same,
        within=worst <= tolerance and explained,
    )


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep cuDNN from rounding float32 convolutions to TF32."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
