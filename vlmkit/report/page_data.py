"""What the scripts of a page read: examples, labels, pictures and brackets as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from vlmkit.errors import TaxonomyError
from vlmkit.report.brackets import Bracket, brackets, rounded
from vlmkit.report.pictures import Key
from vlmkit.report.subject import Outcome, Subject
from vlmkit.runs import Record
from vlmkit.types import Taxonomy


@frozen
class PageData:
    """Three blocks of JSON, so that a page reads the large ones when it needs them.

    Args:
        examples: ``labels`` by number, and for each run its ``name``, its ``examples`` and the ``paths`` of its labels.
        pictures: The pictures of each example that has some, as ``data:`` addresses.
        brackets: For each run the questions of each round, by the place of the example.
    """

    examples: Mapping[str, Any]
    pictures: Sequence[Sequence[str]]
    brackets: Sequence[Mapping[int, Bracket]]

    @classmethod
    def of(cls, subjects: Sequence[Subject], thumbnails: Mapping[Key, Sequence[str]], most_brackets: int) -> PageData:
        """Return what a page about these runs holds.

        Args:
            subjects: The runs.
            thumbnails: ``data:`` addresses of the pictures that there are.
            most_brackets: Most examples of a run whose questions are kept; those that are not right come first.
        """
        labels = _Numbers()
        places = {key: place for place, key in enumerate(thumbnails)}
        runs = [
            {
                "name": subject.name,
                "data": subject.data,
                "examples": [
                    _example(record, labels, places.get((subject.data, record.id))) for record in subject.records
                ],
                "paths": _paths(subject, labels),
            }
            for subject in subjects
        ]
        kept = [_brackets(subject, labels, most_brackets) for subject in subjects]
        return cls({"labels": list(labels.by_name), "runs": runs}, list(thumbnails.values()), kept)


@frozen
class _Numbers:
    """Gives each name a number, counted from 0."""

    by_name: dict[str, int] = field(factory=dict)

    def __call__(self, name: str) -> int:
        return self.by_name.setdefault(name, len(self.by_name))


def _example(record: Record, labels: _Numbers, picture: int | None) -> dict[str, Any]:
    """Return one example; what is not there is left out."""
    values = {
        "id": record.id,
        "outcome": Outcome.of(record).value,
        "target": None if record.target is None else labels(record.target),
        "label": None if record.label is None else labels(record.label),
        "ranking": [[labels(name), rounded(score)] for name, score in record.ranking] or None,
        "rounds": [
            [one.candidates, one.queries, one.survivors, one.none, one.invalid, one.target_survived]
            for one in record.trace
        ]
        or None,
        "text": record.text,
        "error": None if record.error is None else f"{record.error.type}: {record.error.message}",
        "queries": record.usage.queries,
        "tokens": record.usage.tokens.total,
        "seconds": rounded(record.usage.seconds),
        "picture": picture,
    }
    return {name: value for name, value in values.items() if value is not None}


def _paths(subject: Subject, labels: _Numbers) -> dict[int, list[str]]:
    """Return the way down the taxonomy to each target and each prediction."""
    if subject.taxonomy is None:
        return {}
    named = {name for record in subject.records for name in (record.target, record.label) if name is not None}
    found = ((labels(name), _path(subject.taxonomy, name)) for name in sorted(named))
    return {number: path for number, path in found if path}


def _path(taxonomy: Taxonomy, name: str) -> list[str]:
    try:
        return list(taxonomy.path_of(name))
    except TaxonomyError:  # a raw reply
        return []


def _brackets(subject: Subject, labels: _Numbers, most: int) -> dict[int, Bracket]:
    places = {record.id: place for place, record in enumerate(subject.records)}
    right_last = sorted(subject.records, key=lambda record: Outcome.of(record) is Outcome.RIGHT)
    found = brackets(subject, {record.id for record in right_last[:most]}, labels)
    return {places[name]: bracket for name, bracket in found.items()}
