"""From a question bank to conversations for fine-tuning, in the very words of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vlmkit import Classify, Dataset, Example, Letter, Likelihood, Prompt
from vlmkit.data.images import open_image
from vlmkit.prompts import default_prompt
from vlmkit_hierarchy.asked import NO_LABELS, AskedImages
from vlmkit_hierarchy.asking import AskSheet, Mode, asked, text_prompt
from vlmkit_hierarchy.bank import LETTERS, Bank


def conversations(
    bank: Bank,
    images: Dataset | None,
    modes: Sequence[Mode],
    beside: Path,
    *,
    readout: Letter | Likelihood,
    prompt: Prompt | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a conversation for each question: what ``vlmkit hierarchy eval`` would ask, and the right answer.

    Args:
        bank: The questions.
        images: The data set that has the pictures; None where they are not shown.
        modes: How each question is asked; the leaf is left out of text mode, which names it.
        beside: The file that the conversations go to. Its folder is what paths of images are relative to; pictures
            that are no files yet are written into a folder with its name.
        readout: How the evaluation will read choices: by letters, or by names.
        prompt: The words of the questions; by default those of an evaluation.

    Raises:
        DataError: The data set lacks an image.
        ImageError: A picture that is no file cannot be decoded.
    """
    for index, example in enumerate(AskedImages(bank, images)):
        shown = _paths(example, index, beside) if "image" in modes else []
        for mode in modes:
            named = mode == "text"
            strategy = AskSheet(
                sheet_of=bank.sheet, ranks=bank.taxonomy.ranks, mode=mode, autofill_leaf=named, readout=readout
            )
            words = prompt or (text_prompt() if named else default_prompt())
            queries = next(strategy.solve(Classify((), NO_LABELS, id=example.id, prompt=words)))
            for question, query in zip(asked(bank.sheet(example.id), autofill_leaf=named), queries, strict=True):
                answer = question.right if isinstance(readout, Likelihood) else LETTERS[question.answer]
                pictures = [] if named else shown
                yield {
                    "id": f"{example.id}#{mode}-{question.level}",
                    **({"images": pictures} if pictures else {}),
                    "conversations": [
                        {"from": "human", "value": "<image>\n" * len(pictures) + query.text},
                        {"from": "gpt", "value": answer},
                    ],
                }


def _paths(example: Example, index: int, beside: Path) -> list[str]:
    """Return where the pictures of an example lie, relative to the file's folder; write those that are no files."""
    paths = []
    for place, source in enumerate(example.images):
        path = source
        if not isinstance(path, Path):
            path = beside.parent / beside.stem / f"{index:06d}{f'-{place}' if place else ''}.png"
            path.parent.mkdir(exist_ok=True)
            open_image(source, name=example.id).pixels.save(path)
        paths.append(Path(os.path.relpath(path, beside.parent)).as_posix())
    return paths
