"""What sources from files share."""

from __future__ import annotations

import os
from pathlib import Path

from vlmkit.errors import DataError


def check_folder(images: Path) -> None:
    """Look whether the folder of the pictures is there.

    Raises:
        DataError: It is not.
    """
    if not os.path.isdir(images):
        raise DataError(
            f"there is no image folder {images}", hint="give the folder that holds the pictures: images=DIR"
        )


def missing(images: Path, name: str) -> str:
    """Return why a picture cannot be used for lack of its file, or an empty string."""
    return "" if os.path.isfile(os.path.join(images, name)) else "no file in the image folder"
