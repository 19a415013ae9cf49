"""Pictures in a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve, field, frozen

from vlmkit import Example, LabelSpace, Taxonomy
from vlmkit.data.images import IMAGE_SUFFIXES, is_image_file
from vlmkit.errors import DataError, TaxonomyError

_SUFFIXES = f"these suffixes count: {' '.join(sorted(IMAGE_SUFFIXES))}"


@frozen
class Folder:
    """All pictures below a folder, by id; or one picture.

    The first folder below ``path`` is the target, as in torchvision's ``ImageFolder``; pictures directly in ``path``
    have none. The labels are the targets in sorted order. Hidden files and folders are skipped. Links are followed.

    Args:
        path: The folder, or one picture.
        nested: Whether folders within folders form a taxonomy: the targets are then the labels of its leaves, which are
            the folders that pictures lie in.

    Raises:
        DataError: It is missing or unreadable, or holds no pictures; or pictures lie beside a folder of a taxonomy.
    """

    path: Path
    nested: bool = False
    labels: LabelSpace = field(init=False, repr=False)
    taxonomy: Taxonomy | None = field(init=False, repr=False)
    _examples: tuple[Example, ...] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        examples = sorted(self._found(), key=lambda example: example.id)
        taxonomy = self._tree(examples) if self.nested else None
        if taxonomy is not None:
            examples = [_relabelled(example, taxonomy) for example in examples]
        targets = {example.target for example in examples if example.target is not None}
        object.__setattr__(self, "_examples", tuple(examples))
        object.__setattr__(self, "taxonomy", taxonomy)
        object.__setattr__(self, "labels", LabelSpace(sorted(targets)) if taxonomy is None else taxonomy.labels)

    def __len__(self) -> int:
        return len(self._examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._examples)

    def _tree(self, examples: list[Example]) -> Taxonomy | None:
        leaves = sorted({_folders(example) for example in examples} - {()})
        try:
            return Taxonomy(leaves, root=self.path.name) if leaves else None
        except TaxonomyError as error:
            raise DataError(
                f"folder {self.path} holds no taxonomy: {error.message}",
                hint="move its pictures into a folder below it",
            ) from None

    def _found(self) -> Iterator[Example]:
        if os.path.isfile(self.path) and is_image_file(self.path):
            yield Example(self.path.name, (self.path,))
            return
        others: Counter[str] = Counter()
        found = False
        for path in _files(self.path):
            if is_image_file(path):
                yield _example(self.path, path)
                found = True
            else:
                others[path.suffix.lower() or "without suffix"] += 1
        if not found:
            seen = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
            raise DataError(
                f"folder {self.path} holds no pictures, only {seen}" if seen else f"folder {self.path} holds no files",
                hint=_SUFFIXES,
            )


def _example(root: Path, path: Path) -> Example:
    """Describe one picture; its id goes into JSON and onto terminals, so it has to be Unicode."""
    place = path.relative_to(root)
    try:
        place.as_posix().encode()
    except UnicodeEncodeError:
        raise DataError(f"file name {os.fsencode(path)!r} is not UTF-8", hint="rename the file") from None
    return Example(place.as_posix(), (path,), target=place.parts[0] if len(place.parts) > 1 else None)


def _folders(example: Example) -> tuple[str, ...]:
    return tuple(example.id.split("/")[:-1])


def _relabelled(example: Example, taxonomy: Taxonomy) -> Example:
    folders = _folders(example)
    return evolve(example, target=taxonomy.label_of(folders) if folders else None)


def _files(folder: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """Walk everything visible below ``folder`` that is not a folder.

    Args:
        folder: Where to start.
        above: Device and inode of the folders on the way here; a link back to one of them is not followed.

    Raises:
        DataError: A folder is missing or cannot be read.
    """
    try:
        status = folder.stat()
        here = (status.st_dev, status.st_ino)
        names = [] if here in above else [name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError:
        raise DataError(f"there is no folder {folder}", hint="check the path") from None
    except NotADirectoryError:
        raise DataError(f"file {folder} is not a picture", hint=_SUFFIXES) from None
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise DataError(f"folder {folder} cannot be read ({reason})", hint="check its permissions") from error
    for path in (folder / name for name in names):
        if os.path.isdir(path):
            yield from _files(path, above | {here})
        else:
            yield path
