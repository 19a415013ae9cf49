"""What comes back from a query, and what an aggregator makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, overload

from attrs import field, frozen

from vlmkit.types.tuples import as_tuple
from vlmkit.types.usage import Usage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Outcome(StrEnum):
    """How a choice ended."""

    SELECTED = "selected"
    NONE = "none"
    """The model answered that it is none of the options."""
    INVALID = "invalid"
    """The model's reply is no option, by the readout's parser."""


@frozen
class Ranking(Sequence[tuple[str, float]]):
    """Label names with scores, best first; ties keep the order in which they were given.

    Args:
        entries: Pairs of name and score.
    """

    entries: tuple[tuple[str, float], ...] = field(default=(), converter=as_tuple)

    @classmethod
    def of(cls, scores: Iterable[tuple[str, float]]) -> Ranking:
        """Rank pairs of name and score, best first."""
        return cls(tuple(sorted(scores, key=lambda pair: -pair[1])))

    @property
    def labels(self) -> tuple[str, ...]:
        """The names, best first."""
        return tuple(name for name, _ in self.entries)

    @overload
    def __getitem__(self, index: int) -> tuple[str, float]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[str, float], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, float] | tuple[tuple[str, float], ...]:
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)


@frozen
class Ballot:
    """The answer to a ``Choose``.

    Args:
        options: Names of the options, in the order shown.
        choice: Name of the chosen option, or None.
        outcome: Whether an option was selected, none was, or the reply was invalid.
        log_probs: Score of each option in nats, in the order of ``options``; None for the ``text`` readout.
        none_log_prob: Score of the answer ``None`` in nats, where the query offered it and the readout scores.
        reply: The raw reply, for the ``text`` readout.
        prompt: The exact text that went to the model, chat template included.
        usage: What the answer cost.
    """

    options: tuple[str, ...] = field(converter=as_tuple)
    choice: str | None
    outcome: Outcome
    log_probs: tuple[float, ...] | None = None
    none_log_prob: float | None = None
    reply: str | None = None
    prompt: str = field(default="", repr=False)
    usage: Usage = field(factory=Usage)

    def __attrs_post_init__(self) -> None:
        if (self.choice is not None) != (self.outcome is Outcome.SELECTED):
            raise ValueError(f"a ballot with outcome {self.outcome} cannot have the choice {self.choice!r}")
        if self.log_probs is not None and len(self.log_probs) != len(self.options):
            raise ValueError(f"{len(self.log_probs)} log-probabilities for {len(self.options)} options")

    @classmethod
    def scored(
        cls,
        options: Sequence[str],
        log_probs: Sequence[float],
        *,
        none_log_prob: float | None = None,
        prompt: str = "",
        usage: Usage | None = None,
    ) -> Ballot:
        """Choose the best-scored option, or none where ``None`` scores higher; the earlier option wins a tie."""
        best = max(range(len(options)), key=lambda index: log_probs[index])
        nothing = none_log_prob is not None and none_log_prob > log_probs[best]
        return cls(
            options=tuple(options),
            choice=None if nothing else options[best],
            outcome=Outcome.NONE if nothing else Outcome.SELECTED,
            log_probs=tuple(log_probs),
            none_log_prob=none_log_prob,
            prompt=prompt,
            usage=usage or Usage(),
        )

    @property
    def ranking(self) -> Ranking:
        """The options by score; for a ballot without scores the choice alone, with score 0."""
        if self.log_probs is not None:
            return Ranking.of(zip(self.options, self.log_probs, strict=True))
        return Ranking(((self.choice, 0.0),)) if self.choice is not None else Ranking()


@frozen
class Text:
    """The answer to a ``Generate``.

    Args:
        text: The reply, special tokens removed.
        prompt: The exact text that went to the model, chat template included.
        usage: What the answer cost.
    """

    text: str
    prompt: str = field(default="", repr=False)
    usage: Usage = field(factory=Usage)


@frozen(eq=False)
class Encoding:
    """The answer to an ``Encode``.

    Args:
        features: The pooled hidden states by site, each float32 [hidden], in the order of the query's sites.
        prompt: The exact text that went to the model, chat template included.
        usage: What the answer cost.
    """

    features: Mapping[str, NDArray[np.float32]] = field(repr=False)
    prompt: str = field(default="", repr=False)
    usage: Usage = field(factory=Usage)


@frozen
class Failed:
    """What a backend returns in place of an answer that it could not get, while others of the same call are fine.

    It never reaches a strategy: the engine raises ``error`` at the strategy's ``yield``, and unless the strategy
    catches it, that example alone fails.

    Args:
        error: Why there is no answer.
        prompt: The exact text that went to the model.
        usage: What the attempts cost.
    """

    error: Exception
    prompt: str = field(default="", repr=False)
    usage: Usage = field(factory=Usage)


Answer = Ballot | Text | Encoding | Failed
"""What comes back for a query."""
