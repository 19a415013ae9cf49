"""Where trainers find the pictures of a source: as files in one folder."""

from __future__ import annotations

import io
import os
from pathlib import Path

import PIL.Image
from attrs import field, frozen

from vlmkit.errors import DataError, UserError
from vlmkit.runs.files import disk_errors
from vlmkit_mimic.sources import Source, build_source


@frozen
class PictureFiles:
    """The pictures of a source as files: those that are drawn are written when they are asked for.

    Args:
        source: The source.
        folder: The folder that paths of pictures are relative to.
    """

    source: Source
    folder: Path
    _written: set[str] = field(factory=set, init=False, repr=False)

    @classmethod
    def of(cls, spec: str, folder: Path | None, *, output: Path) -> PictureFiles:
        """Look where the pictures of a source are, or shall be.

        Args:
            spec: Spec of the source.
            folder: Where pictures that are drawn go; by default a folder beside ``output`` with its name.
            output: The file that names the pictures.

        Raises:
            UserError: A folder is given for pictures that are files already.
        """
        source = build_source(spec)
        if source.images is None:
            return cls(source, folder or output.with_suffix(""))
        if folder is not None:
            raise UserError(f"the pictures of {spec} are files already", hint="leave --pictures out")
        return cls(source, source.images)

    def folder_from(self, place: Path) -> str:
        """Return the folder, relative to another one."""
        return Path(os.path.relpath(self.folder, place)).as_posix()

    def path(self, name: str) -> str:
        """Return the path of a picture, relative to the folder; a picture that is drawn is there from now on.

        Raises:
            DataError: Another picture has that path.
            RunDirectoryError: It cannot be written.
        """
        if self.source.images is not None:
            return name
        path = self.folder / f"{name}.png"
        if name not in self._written:
            picture = self.source.picture(name)
            assert isinstance(picture, PIL.Image.Image)
            encoded = io.BytesIO()
            picture.save(encoded, "PNG")
            self._write(path, encoded.getvalue())
            self._written.add(name)
        return path.name

    def _write(self, path: Path, content: bytes) -> None:
        with disk_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                beside = path.with_name(f".{path.name}.tmp")
                beside.write_bytes(content)
                beside.replace(path)
            elif path.read_bytes() != content:
                raise DataError(f"{path} is another picture", hint="give an empty folder with --pictures")
