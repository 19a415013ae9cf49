"""Where a report goes: a file that is replaced as a whole, and only if it was a report already."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen

from vlmkit.errors import UserError
from vlmkit.report.formats import Format
from vlmkit.runs.files import disk_errors, write_atomically


@frozen
class Output:
    """A file that a report can be written to.

    Args:
        path: The file.
    """

    path: Path

    @classmethod
    def checked(cls, path: Path, form: Format, *, force: bool) -> Output:
        """Make sure, before anything is computed, that a file may be written.

        Raises:
            UserError: There is no such folder, or something else is there that is not to be overwritten.
        """
        if not os.path.isdir(path.parent):  # Path's own way raises for a name that is too long
            raise UserError(
                f"there is no folder {path.parent} for the report", hint="make it, or give another --output"
            )
        if os.path.isdir(path):
            raise UserError(f"{path} is a folder", hint="name a file in it with --output")
        with disk_errors(path, "read"):
            foreign = path.exists() and not force and not form.is_own(path)
        if foreign:
            raise UserError(
                f"{path} is there and is no {form.name} that vlmkit report wrote",
                hint="give another --output, or --force to overwrite it",
            )
        return cls(path)

    def write(self, content: bytes) -> None:
        """Write the report.

        Raises:
            RunDirectoryError: It cannot be written; what was there still is.
        """
        write_atomically(self.path, [content])
