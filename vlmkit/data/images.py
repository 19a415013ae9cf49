"""Decoding pictures: whatever a user brings becomes upright 8-bit RGB, or an error that says why not."""

from __future__ import annotations

import stat
import threading
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import PIL.Image
from attrs import field, frozen
from attrs.validators import ge, le
from PIL.ExifTags import Base
from PIL.Image import Transpose

from vlmkit.errors import ImageError
from vlmkit.types import Image, ImageSource, ImageUrl

MAX_PIXELS = 175_000_000
"""Most pixels that a picture may have under any limit; Pillow's own limit, a little higher, is left as it is."""


@frozen
class ImageLimits:
    """How large a picture may be; a larger one is refused before it is decoded.

    Args:
        pixels: Most pixels, width times height; at most ``MAX_PIXELS``.
        bytes: Most bytes of the file.
    """

    pixels: int = field(default=MAX_PIXELS, validator=[ge(1), le(MAX_PIXELS)])
    bytes: int = field(default=256 * 2**20, validator=ge(1))


IMAGE_SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""Suffixes, in lower case, by which a file counts as a picture."""

# Left out on purpose: formats that are documents or run other programs (EPS calls Ghostscript).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")

_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


_LIMITS = ImageLimits()


def is_image_file(path: Path) -> bool:
    """Return whether the file's suffix is that of a picture; the file itself is not looked at."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def open_image(source: ImageSource, *, name: str | None = None, limits: ImageLimits = _LIMITS) -> Image:
    """Decode one picture to upright 8-bit RGB.

    Transparency is laid over white, deep grey is scaled and not clipped, of an animation the first frame is taken.

    Args:
        source: A file, encoded bytes, or an open picture, which is left as it is.
        name: What messages call it; by default its path, or "memory".
        limits: How large it may be.

    Raises:
        ImageError: It is missing, unreadable, no picture, broken, too large, or an address, which is not fetched here.
    """
    where = _where(source, name)
    with _QUIET_PILLOW:
        if isinstance(source, PIL.Image.Image):
            with _OPEN_PICTURES:
                return Image(_decode(source, where, limits), where)
        with _stream(source, where, limits) as stream:
            return Image(_decode(_identify(stream, where, limits), where, limits), where)


def _where(source: ImageSource, name: str | None) -> str:
    if not isinstance(source, Path):
        return name or (str(source) if isinstance(source, ImageUrl) else "memory")
    path = source.as_posix()
    return path if name is None else name if path.endswith(name) else f"{name} ({path})"


def _stream(source: Path | bytes | ImageUrl, where: str, limits: ImageLimits) -> BinaryIO:
    """Open the encoded bytes.

    Raises:
        ImageError: There are none, there are too many, or they cannot be read.
    """
    if isinstance(source, ImageUrl):
        raise ImageError(
            where,
            "it lies on a server, and nothing is fetched by default",
            hint="add --remote-images to vlmkit run",
        )
    if not isinstance(source, Path | bytes):
        kind = type(source).__name__
        raise ImageError(where, f"{kind} is no picture", hint="give a path, encoded bytes or a PIL picture")
    try:
        if isinstance(source, bytes):
            size = len(source)
        else:
            status = source.stat()
            size = status.st_size
            if stat.S_ISDIR(status.st_mode):
                raise ImageError(where, "it is a folder", hint="name a picture in it")
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(where, "it is a device or a pipe", hint="save the picture as a file")
        if size == 0:
            raise ImageError(where, "it is empty", hint="fetch it again or leave it out")
        if size > limits.bytes:
            raise ImageError(where, f"it has {size:,} bytes, more than {limits.bytes:,}", hint="compress it")
        return BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    except FileNotFoundError:
        raise ImageError(where, "there is no such file", hint="check the path") from None
    except PermissionError:
        raise ImageError(where, "you have no permission to read it", hint="change its permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ImageError(where, f"it cannot be read ({reason})", hint="check the path") from error


def _identify(stream: BinaryIO, where: str, limits: ImageLimits) -> PIL.Image.Image:
    """Read the header.

    Raises:
        ImageError: It is not that of a picture.
    """
    try:
        return PIL.Image.open(stream, formats=_FORMATS)
    except PIL.Image.DecompressionBombError:
        raise _too_large(where, limits) from None
    except Exception as error:  # on bad bytes the decoders raise nearly anything
        raise ImageError(
            where, "it is not a picture in a known format", hint="convert it to PNG or JPEG, or leave it out"
        ) from error


def _decode(picture: PIL.Image.Image, where: str, limits: ImageLimits) -> PIL.Image.Image:
    """Return the picture's pixels as a new upright RGB picture.

    Raises:
        ImageError: It is too large, has no pixels, or is broken.
    """
    width, height = picture.size
    if width * height > limits.pixels:
        raise _too_large(where, limits)
    if width * height == 0:
        raise ImageError(where, "it has no pixels", hint="leave it out")
    try:
        picture.load()
        rgb = _rgb(picture)
    except MemoryError:
        hint = "scale it down, or give a smaller --in-flight"
        raise ImageError(where, f"there is no memory for its {width:,} x {height:,} pixels", hint=hint) from None
    except Exception as error:  # on bad bytes the decoders raise nearly anything
        raise ImageError(where, "it is broken or cut off", hint="fetch it again or leave it out") from error
    turn = _UPRIGHT.get(_orientation(picture))
    return rgb if turn is None else rgb.transpose(turn)


def _too_large(where: str, limits: ImageLimits) -> ImageError:
    return ImageError(where, f"it has more than {limits.pixels:,} pixels", hint="scale it down")


def _rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return a copy in 8-bit RGB."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _scaled(picture).convert("RGB")
    if picture.has_transparency_data:
        paint = picture.convert("RGBA")
        paper = PIL.Image.new("RGB", picture.size, "white")
        paper.paste(paint, mask=paint)
        return paper
    return picture.convert("RGB")


def _scaled(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return deep grey as 8-bit grey.

    White is 65,535 for 16-bit integers. Other depths do not say what white is: it is the smallest of 1 (for floats),
    255 and 65,535 that no value exceeds, else the greatest value. Negative values and not-a-number are black.
    """
    values = np.nan_to_num(np.asarray(picture, dtype=np.float32), posinf=0)
    usual = {"I": (255, 65535), "F": (1, 255, 65535)}.get(picture.mode, (65535,))
    brightest = float(values.max())
    white = next((white for white in usual if brightest <= white), brightest)
    return PIL.Image.fromarray(np.rint(values.clip(0, white) * (255 / white)).astype(np.uint8))


def _orientation(picture: PIL.Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1, which is upright, where the metadata is broken."""
    try:
        return int(picture.getexif().get(Base.Orientation, 1))
    except Exception:  # garbled metadata is no reason to lose a sound picture
        return 1


class _QuietPillow:
    """Keeps Pillow's warnings in while any thread is inside.

    They tell a user nothing that he can act on (a large photograph, a garbled tag), and ``-W error`` would turn them
    into failures. ``warnings.catch_warnings`` would put back the filters that it found, those that another thread has
    for a moment included: one filter comes and goes here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filter: object = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self._filter = warnings.filters[0]
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                with suppress(ValueError):  # another thread may have put its own filters back
                    warnings.filters.remove(self._filter)  # type: ignore[attr-defined]


_QUIET_PILLOW = _QuietPillow()

_OPEN_PICTURES = threading.Lock()
"""Several examples may hold one open picture that is not loaded yet: one thread loads it."""
