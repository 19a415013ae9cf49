"""Replies to the items of a benchmark, from a run directory or from anyone's file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from vlmkit.data.text import TextFile
from vlmkit.errors import DataError
from vlmkit.runs import StoredRun
from vlmkit_mimic.benchmark import Benchmark


@frozen
class Answers:
    """Replies by the id of their item.

    Args:
        name: What tables call them.
        replies: The replies.
        missing: Ids of items without a reply.
        unknown: Ids that are none of the benchmark's.
    """

    name: str
    replies: Mapping[str, str]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @classmethod
    def of(cls, name: str, replies: Mapping[str, str], benchmark: Benchmark) -> Answers:
        """Compare replies with the items of a benchmark.

        Raises:
            DataError: None of them is about it.
        """
        ids = [item.id for item in benchmark.items]
        known = {one: replies[one] for one in ids if one in replies}
        if not known:
            raise DataError(
                f"no answer of {name} is about {benchmark.path}, whose ids are such as {ids[0]!r}",
                hint="give answers to these very questions",
            )
        unknown = tuple(one for one in replies if one not in known)
        return cls(name, known, tuple(one for one in ids if one not in known), unknown)


def of_predictions(path: Path, benchmark: Benchmark) -> Answers:
    """Read a JSONL file of ``id`` and ``answer``.

    Raises:
        DataError: It cannot be read, a line of it is wrong, or it is not about this benchmark.
    """
    file = TextFile(path, "predictions", DataError)
    replies: dict[str, str] = {}
    for line, text in file.lines():
        at, value = f"line {line}", file.json(text, line=line)
        if not isinstance(value, dict) or not isinstance(value.get("id"), str):
            raise file.wrong("id is no text", at=at, hint='write {"id": "...", "answer": "..."}')
        answer = value.get("answer")
        if not isinstance(answer, str | int) or isinstance(answer, bool):
            raise file.wrong("answer is no text", at=at, hint='write {"id": "...", "answer": "..."}')
        if value["id"] in replies:
            raise file.wrong(f"id {value['id']!r} stands twice", at=at, hint="keep one")
        replies[value["id"]] = str(answer)
    return Answers.of(path.stem, replies, benchmark)


def of_run(directory: Path, benchmark: Benchmark, *, name: str | None = None) -> Answers:
    """Read a run directory, finished or not; an example that failed has no reply.

    Raises:
        RunDirectoryError: It holds no run, or a line of it is no record.
        DataError: It is not about this benchmark.
    """
    records = StoredRun.read(directory).records()
    replies = {record.id: record.text for record in records if record.text is not None}
    return Answers.of(name or directory.name, replies, benchmark)
