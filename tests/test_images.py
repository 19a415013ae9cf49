import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.ExifTags import Base

from vlmkit.data.images import IMAGE_SUFFIXES, MAX_PIXELS, is_image_file, open_image
from vlmkit.errors import ImageError

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encoded(picture, kind="PNG", **options):
    stream = BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def corner(width=8, height=4):
    """A black picture whose top left quarter is white."""
    picture = PIL.Image.new("RGB", (width, height))
    picture.paste(WHITE, (0, 0, width // 2, height // 2))
    return picture


def png_of_size(width, height):
    """A PNG header that promises a size, and nothing behind it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"")
    )


# For each EXIF orientation where the first pixel of the stored picture ends: its row and column, 0 first, -1 last.
UPRIGHT_CORNERS = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, kind):
    exif = PIL.Image.Exif()
    exif[Base.Orientation] = orientation
    image = open_image(encoded(corner(32, 16), kind, exif=exif))
    assert image.pixels.size == ((32, 16) if orientation < 5 else (16, 32))
    grey = np.asarray(image.pixels.convert("L"))
    row, column = UPRIGHT_CORNERS[orientation]
    assert grey[row, column] > 200
    assert grey[-1 - row, -1 - column] < 50


def test_orientation_of_an_open_picture_is_applied_and_the_picture_left_alone():
    exif = PIL.Image.Exif()
    exif[Base.Orientation] = 6
    opened = PIL.Image.open(BytesIO(encoded(corner(), exif=exif)))
    image = open_image(opened)
    assert image.pixels.size == (4, 8)
    assert opened.size == (8, 4)
    opened.putpixel((0, 0), RED)
    assert image.pixels.getpixel((3, 0)) == WHITE


def test_garbled_exif_does_not_lose_the_picture():
    for exif in (b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12"):
        assert open_image(encoded(corner(), "JPEG", exif=exif)).pixels.size == (8, 4)


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20))
def test_16_bit_grey_is_scaled_and_keeps_its_order(values):
    data = encoded(PIL.Image.fromarray(np.array([values], dtype=np.uint16)))
    grey = np.asarray(open_image(data).pixels)[0]
    assert (grey[:, 0] == grey[:, 1]).all() and (grey[:, 0] == grey[:, 2]).all()
    assert [abs(int(seen) * 257 - value) <= 129 for seen, value in zip(grey[:, 0], values, strict=True)] == [
        True
    ] * len(values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 32896, 65535]], dtype=">u2"), [0, 128, 255]),
        (np.array([[0, 128, 255]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 257, 65535]], dtype=np.int32), [0, 1, 255]),
        (np.array([[-5, 502_000, 1_000_000]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], dtype=np.float32), [0, 100, 255]),
        (np.array([[np.nan, -1.0, 0.25]], dtype=np.float32), [0, 0, 64]),
    ],
)
def test_deep_grey_tiff(values, expected, tmp_path):
    PIL.Image.fromarray(values).save(tmp_path / "deep.tif")
    assert np.asarray(open_image(tmp_path / "deep.tif").pixels)[0, :, 0].tolist() == expected


def test_cmyk_keeps_its_colours():
    cyan, black = (255, 0, 0, 0), (0, 0, 0, 255)
    for colour, expected in ((cyan, (0, 255, 255)), (black, BLACK), ((0, 0, 0, 0), WHITE)):
        picture = PIL.Image.new("CMYK", (16, 16), colour)
        for kind in ("JPEG", "TIFF"):
            seen = open_image(encoded(picture, kind)).pixels.getpixel((8, 8))
            assert np.abs(np.subtract(seen, expected)).max() <= 3, (kind, colour, seen)


def test_transparency_is_laid_over_white():
    half = PIL.Image.new("RGBA", (1, 1), (255, 0, 0, 128))
    assert open_image(encoded(half)).pixels.getpixel((0, 0)) == (255, 127, 127)
    assert open_image(PIL.Image.new("LA", (1, 1), (0, 0))).pixels.getpixel((0, 0)) == WHITE
    assert open_image(PIL.Image.new("LA", (1, 1), (7, 255))).pixels.getpixel((0, 0)) == (7, 7, 7)


@pytest.mark.parametrize("transparency", [1, b"\xff\x00\xff"])
def test_palette_with_a_transparent_colour(transparency):
    picture = PIL.Image.new("P", (3, 1))
    picture.putpalette([*RED, *GREEN, *BLUE])
    picture.putdata([0, 1, 2])
    image = open_image(encoded(picture, transparency=transparency))
    assert [image.pixels.getpixel((x, 0)) for x in range(3)] == [RED, WHITE, BLUE]


def test_one_bit():
    picture = PIL.Image.new("1", (2, 1))
    picture.putpixel((1, 0), 1)
    image = open_image(encoded(picture))
    assert [image.pixels.getpixel((x, 0)) for x in range(2)] == [BLACK, WHITE]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(kind):
    frames = [PIL.Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, GREEN)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert PIL.Image.open(BytesIO(data)).n_frames == 3
    assert open_image(data).pixels.getpixel((0, 0)) == RED


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_suffix_that_counts_can_be_read(suffix, tmp_path):
    path = tmp_path / f"picture{suffix.upper()}"
    picture = corner(16, 16)
    picture.convert("1").convert("L").save(path) if suffix == ".pgm" else picture.save(path)
    assert is_image_file(path)
    assert np.abs(np.subtract(np.asarray(open_image(path).pixels, int), np.asarray(picture, int))).mean() < 8


def test_same_pixels_are_equal_whatever_the_container():
    assert open_image(encoded(corner(), "PNG")) == open_image(encoded(corner(), "BMP")) == open_image(corner())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"hello", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture"),
        (encoded(PIL.Image.effect_noise((64, 64), 99), "JPEG")[:-200], "broken or cut off"),
        (encoded(PIL.Image.effect_noise((64, 64), 99), "PNG")[:-200], "broken or cut off"),
        (encoded(PIL.Image.effect_noise((64, 64), 99), "BMP")[:-200], "broken or cut off"),
        (png_of_size(30_000, 30_000), "more than 175,000,000 pixels"),
        (png_of_size(13_000, 13_500), "more than 175,000,000 pixels"),
        (png_of_size(0, 5), "not a picture"),
    ],
)
def test_bad_bytes_are_one_clear_sentence(data, says, tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(ImageError) as caught:
            open_image(source, name="some/bad.png")
        assert says in caught.value.message
        assert caught.value.message.startswith("image some/bad.png") and caught.value.hint
        assert "\n" not in str(caught.value) and "PIL" not in str(caught.value)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data):
    for start in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0\x08\0\0\0", b"BM", b"P5 2 2 65535\n"):
        with suppress(ImageError):
            open_image(start + data)


def test_bad_places(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name, says in {
        "absent.png": "no such file",
        ".": "it is a folder",
        "pipe.png": "a device or a pipe",
        "loop.png": "cannot be read",
        "nul\0.png": "cannot be read",
        "x" * 300: "file name too long",
    }.items():
        with pytest.raises(ImageError, match=says):
            open_image(tmp_path / name)


def test_no_permission(tmp_path):
    path = tmp_path / "secret.png"
    corner().save(path)
    open_image(path)
    path.chmod(0)
    as_root = os.geteuid() == 0
    if as_root:
        os.seteuid(65534)
    try:
        with pytest.raises(ImageError, match="no permission"):
            open_image(path)
    finally:
        if as_root:
            os.seteuid(0)


def test_an_empty_open_picture_has_no_pixels():
    with pytest.raises(ImageError, match="no pixels"):
        open_image(PIL.Image.new("RGB", (0, 5)))


def test_the_name_leads_to_the_file(tmp_path):
    for name, expected in {
        None: f"{tmp_path}/a/b.png",
        "a/b.png": "a/b.png",
        "question-7": f"question-7 ({tmp_path}/a/b.png)",
    }.items():
        with pytest.raises(ImageError) as caught:
            open_image(tmp_path / "a" / "b.png", name=name)
        assert caught.value.source == expected


def test_a_100_megapixel_photograph_opens_without_a_warning():
    data = encoded(PIL.Image.new("1", (11_600, 8_700), 1))
    limit = PIL.Image.MAX_IMAGE_PIXELS
    assert limit < 11_600 * 8_700 < MAX_PIXELS
    assert open_image(data).pixels.size == (11_600, 8_700)
    assert limit == PIL.Image.MAX_IMAGE_PIXELS


def test_threads_share_nothing(tmp_path):
    """Pillow warns of these pictures; outside, the filters of the process stay as they are."""
    garbled = encoded(corner(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03\xff\xff\xff\xff\0\x06")
    pictures = [garbled, encoded(PIL.Image.new("1", (10_000, 9_000)))[:60], encoded(corner())] * 60
    filters = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            PIL.Image.open(BytesIO(garbled)).getexif()

        def outcome(data):
            try:
                return open_image(data).digest
            except ImageError as error:
                return error.message

        expected = [outcome(data) for data in pictures[:3]] * 60
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(outcome, pictures)) == expected
        with pytest.raises(UserWarning):
            warnings.warn("still an error outside", UserWarning, stacklevel=1)
    assert warnings.filters == filters


def test_nothing_is_printed_under_any_warning_flag(tmp_path):
    (tmp_path / "p.png").write_bytes(encoded(corner(15, 10)))
    code = (
        "import sys, pathlib, PIL.Image, vlmkit.data.images as i; PIL.Image.MAX_IMAGE_PIXELS = 100; "
        "print(i.open_image(pathlib.Path(sys.argv[1])).pixels.size)"
    )
    for flag in ("error", "always"):
        done = subprocess.run(
            [sys.executable, "-W", flag, "-c", code, tmp_path / "p.png"], capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == ("(15, 10)\n", "")
