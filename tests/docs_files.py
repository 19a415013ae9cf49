"""The files that pages speak of, drawn anew: glyphs for photographs, their shapes for a taxonomy."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import pyarrow
from pyarrow.parquet import write_table

from vlmkit.taxonomy import write_taxonomy
from vlmkit_glyphs.dataset import Glyphs

DRAWN = Glyphs(labels=12, images=6)


def _folder(path: Path) -> None:
    for number, example in enumerate(DRAWN):
        folder = path / str(example.target)
        folder.mkdir(parents=True, exist_ok=True)
        example.images[0].save(folder / f"{number}.png")


def _picture(path: Path) -> None:
    next(iter(DRAWN)).images[0].save(path)


def _labels(path: Path) -> None:
    path.write_text("".join(f"{label.name}\n" for label in DRAWN.labels), encoding="utf-8")


def _taxonomy(path: Path) -> None:
    write_taxonomy(DRAWN.taxonomy, path)


def _parquet(path: Path) -> None:
    rows = []
    for example in DRAWN:
        encoded = io.BytesIO()
        example.images[0].save(encoded, "PNG")
        rows.append({"image": encoded.getvalue(), "species": str(example.target)})
    write_table(pyarrow.Table.from_pylist(rows), path)


def _answers(path: Path) -> None:
    named = [(f"{one.target}/{number}.png", one.target) for number, one in enumerate(DRAWN)]
    lines = [json.dumps({"id": id, "path": DRAWN.taxonomy.path_of(target)}) for id, target in named]
    path.write_text("\n".join(lines), encoding="utf-8")


FILES: Mapping[str, Callable[[Path], None]] = MappingProxyType(
    {
        **dict.fromkeys(("birds", "photos", "plants", "other-plants", "train/", "unsorted"), _folder),
        **dict.fromkeys(("apple.jpg", "pear.jpg", "heron.jpg"), _picture),
        **dict.fromkeys(("birds.json", "plants.json"), _taxonomy),
        "labels.txt": _labels,
        "answers.jsonl": _answers,
        "validation.parquet": _parquet,
    }
)
"""What is made for a page whose code names it, and how."""


def prepare(directory: Path, code: Iterable[str]) -> None:
    """Make the files that the code names."""
    named = "\n".join(code)
    for name, make in FILES.items():
        if name in named:
            make(directory / name)
