"""What became of one example, as one line of ``predictions.jsonl``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Self

import PIL.Image
from attrs import frozen

from vlmkit.engine import Solved
from vlmkit.measures import confidence
from vlmkit.redaction import redacted
from vlmkit.types import ImageSource, ImageUrl, Round, Usage

RANKING_LENGTH = 10
"""Pairs of a ranking that a record keeps."""


@frozen
class RoundRecord:
    """One round of the strategy.

    Args:
        candidates: Labels that entered it.
        queries: Questions asked in it.
        none: Questions answered with ``None``.
        invalid: Questions whose reply was no option.
        survivors: Labels that left it.
        target_survived: Whether the target is one of them; None where the target is not known.
    """

    candidates: int
    queries: int
    none: int
    invalid: int
    survivors: int
    target_survived: bool | None

    @classmethod
    def of(cls, played: Round, target: str | None) -> Self:
        """Return the record of a round."""
        return cls(
            candidates=played.candidates,
            queries=played.queries,
            none=played.none,
            invalid=played.invalid,
            survivors=len(played.survivors),
            target_survived=None if target is None else target in played.survivors,
        )


@frozen
class Failure:
    """Why an example failed.

    Args:
        type: Name of the error's class.
        message: What it says.
    """

    type: str
    message: str


@frozen
class Record:
    """What became of one example.

    Args:
        id: The example's id.
        label: The predicted label, or None when the strategy found none or the example failed.
        target: The right label, or None when it is not known.
        correct: Whether the label is the target; None for a failed example, a question, or an unknown target.
        ranking: The best names with their scores, at most ``RANKING_LENGTH``; a score that is not finite is None.
        trace: The rounds, in order.
        text: The reply to a question, or None.
        usage: What the example cost, also when it failed.
        error: Why it failed, or None.
        path: ``Prediction.path``.
        confidence: Probability of the label among the names of the whole ranking; None where scores give none.
        pictures: A digest of where the example's pictures come from: two examples of a run with the same one show the
            same pictures. None for a failed example, and where there is no picture.
    """

    id: str
    label: str | None
    target: str | None
    correct: bool | None
    ranking: tuple[tuple[str, float | None], ...]
    trace: tuple[RoundRecord, ...]
    text: str | None
    usage: Usage
    error: Failure | None
    path: tuple[str, ...] = ()
    confidence: float | None = None
    pictures: str | None = None

    @classmethod
    def of(cls, solved: Solved) -> Self:
        """Return the record of a solved or failed example."""
        example, prediction = solved.example, solved.prediction
        if prediction is None:
            failure = Failure(type(solved.error).__name__, redacted(str(solved.error)) or "no details")
            return cls(example.id, None, example.target, None, (), (), None, solved.usage, failure)
        judged = example.target is not None and example.question is None
        return cls(
            id=example.id,
            label=prediction.label,
            target=example.target,
            correct=prediction.label == example.target if judged else None,
            ranking=tuple(prediction.ranking.entries[:RANKING_LENGTH]),
            trace=tuple(RoundRecord.of(played, example.target) for played in prediction.trace),
            text=prediction.text,
            usage=solved.usage,
            error=None,
            path=prediction.path,
            confidence=confidence(prediction.ranking, prediction.label),
            pictures=_digest(example.images),
        )

    @property
    def in_top5(self) -> bool:
        """Whether the target is among the best five of the ranking."""
        return self.target in [name for name, _ in self.ranking[:5]]

    def kept(self, abstain_below: float) -> bool:
        """Whether there is a label whose confidence is not below a threshold; one that is not known never is."""
        return self.label is not None and not (self.confidence is not None and self.confidence < abstain_below)


def _digest(images: Sequence[ImageSource]) -> str | None:
    """Return what tells sources of pictures apart; None where there is no picture. Files are not opened."""
    sha = hashlib.sha256()
    for source in images:
        content = _bytes(source)
        sha.update(hashlib.sha256(content).digest())
    return sha.hexdigest()[:16] if images else None


def _bytes(source: ImageSource) -> bytes:
    if isinstance(source, PIL.Image.Image):
        return repr((source.mode, source.size)).encode() + source.tobytes()
    if isinstance(source, bytes):
        return source
    place = source.url if isinstance(source, ImageUrl) else str(source)
    return place.encode("utf-8", "surrogateescape")
