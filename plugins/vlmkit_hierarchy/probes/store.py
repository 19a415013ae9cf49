"""Features on disk: one file for each batch, written as a whole, so that nothing computed is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vlmkit.errors import RunDirectoryError
from vlmkit.runs.files import disk_errors, write_atomically


@frozen
class Subject:
    """What features were taken of.

    Args:
        id: The example's id.
        content: The text and the digests of the images: those who share it are one.
    """

    id: str
    content: str


@frozen(eq=False)
class Table:
    """Features of many subjects.

    Args:
        subjects: The rows.
        features: By site, each float32 [rows, hidden].
    """

    subjects: tuple[Subject, ...]
    features: Mapping[str, NDArray[np.float32]]


@frozen
class Store:
    """A folder of features.

    Args:
        folder: Where they lie; made when the first are written.
    """

    folder: Path

    def add(self, subjects: Sequence[Subject], features: Mapping[str, Sequence[NDArray[np.float32]]]) -> None:
        """Write the features of a batch, by site in the order of the subjects; they are on the disk on return.

        Raises:
            RunDirectoryError: They cannot be written.
        """
        with disk_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
        rows = json.dumps([[subject.id, subject.content] for subject in subjects])
        tensors = {site: np.stack(vectors) for site, vectors in features.items()}
        path = self.folder / f"{len(self._files()):06d}.safetensors"
        write_atomically(path, [save(tensors, {"subjects": rows})])

    def read(self, ids: Sequence[str]) -> Table:
        """Return the features of these examples, in their order; of those with the same content the first alone.

        Raises:
            RunDirectoryError: A file is damaged.
        """
        subjects: list[Subject] = []
        features: dict[str, list[NDArray[np.float32]]] = {}
        for path in self._files():
            rows, tensors = self._read(path)
            subjects += rows
            for site, tensor in tensors.items():
                features.setdefault(site, []).append(tensor)
        place_of = {subject.id: place for place, subject in enumerate(subjects)}
        first: dict[str, int] = {}
        for place in (place_of[id] for id in ids if id in place_of):
            first.setdefault(subjects[place].content, place)
        places = list(first.values())
        return Table(
            tuple(subjects[place] for place in places),
            {site: np.concatenate(parts)[places] for site, parts in features.items()},
        )

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))

    def _read(self, path: Path) -> tuple[list[Subject], dict[str, NDArray[np.float32]]]:
        try:
            with safe_open(path, "numpy") as file:
                rows = json.loads(file.metadata()["subjects"])
                return [Subject(*row) for row in rows], {site: file.get_tensor(site) for site in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise RunDirectoryError(
                f"{path} is damaged ({type(error).__name__})", hint="give another --output, or remove the directory"
            ) from error
