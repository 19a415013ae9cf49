"""Files named by one pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator
from glob import glob, has_magic
from os.path import commonpath
from pathlib import Path

from attrs import field, frozen

from vlmkit.errors import DataError

_BRACES = re.compile(r"\{([^{}]+)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@frozen
class Shards:
    """The files that a pattern stands for, in its order; those of a wildcard are sorted.

    Args:
        pattern: A path with wildcards (``*``, ``**``) or braces (``{000..010}``, ``{train,test}``).

    Raises:
        DataError: Nothing is there, or a file that braces name is missing.
    """

    pattern: Path
    files: tuple[Path, ...] = field(init=False, repr=False)
    _folder: str = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        names = [str(self.pattern)] if self.pattern.exists() else list(_expanded(str(self.pattern)))
        files: list[Path] = []
        for name in names:
            found = sorted(glob(name, recursive=True)) if has_magic(name) and not Path(name).exists() else [name]
            if not found or not Path(found[0]).is_file():
                raise DataError(f"there is no file {name}", hint="check the path")
            files += map(Path, found)
        object.__setattr__(self, "files", tuple(files))
        object.__setattr__(self, "_folder", commonpath([path.parent for path in files]))

    def name(self, file: Path) -> str:
        """Return the path of one of the files below the folder that they share, with ``/`` on every system."""
        return file.relative_to(self._folder).as_posix()


def _expanded(pattern: str) -> Iterator[str]:
    """Iterate over what braces stand for, as a shell does; numbers keep the width of the first."""
    match = _BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    numbers = _RANGE.fullmatch(match[1])
    if numbers:
        first, last = int(numbers[1]), int(numbers[2])
        parts = [str(number).zfill(len(numbers[1])) for number in range(first, last + 1)]
    else:
        parts = match[1].split(",")
    for part in parts:
        yield from _expanded(pattern[: match.start()] + part + pattern[match.end() :])
