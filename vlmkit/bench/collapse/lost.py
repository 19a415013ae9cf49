"""Where the right label was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from vlmkit.runs import Record
from vlmkit.runs.record import RoundRecord

OTHER, NONE, INVALID = "last question", "None", "invalid"
NOT_CHOSEN, NOT_ASKED, FAILED = "not chosen", "not asked", "failed"

PLACES = (OTHER, NONE, INVALID, NOT_CHOSEN, NOT_ASKED, FAILED)
"""Where it can be lost but in a round, ``round 1`` and so on."""


def losses(records: Iterable[Record]) -> dict[str, int]:
    """Count where records lost the right label; every record that is not correct counts once.

    The keys are the rounds in which one was lost or a later one was, and ``PLACES``.
    """
    counted = Counter(place for record in records if (place := _lost(record)) is not None)
    rounds = max((place for place in counted if isinstance(place, int)), default=0)
    return {f"round {number}": counted[number] for number in range(1, rounds + 1)} | {
        place: counted[place] for place in PLACES
    }


def entries(trace: Sequence[RoundRecord]) -> Iterator[tuple[RoundRecord, bool]]:
    """Yield every round, and whether the right label was among its candidates."""
    there = True
    for played in trace:
        yield played, there
        # After a round without survivors, who goes on asks about the same candidates again.
        if played.survivors:
            there = bool(played.target_survived)


def _lost(record: Record) -> int | str | None:
    """Return the round, counted from 1, or the place where a record lost the right label; None if it is correct."""
    if record.error is not None:
        return FAILED
    if record.correct:
        return None
    if not record.trace:
        return NOT_ASKED
    for number, (played, there) in enumerate(entries(record.trace), start=1):
        last = number == len(record.trace)
        if there and not played.target_survived and (played.survivors or last):
            if last and played.queries == 1:
                return NONE if played.none else INVALID if played.invalid else OTHER
            return number
    return NOT_CHOSEN
