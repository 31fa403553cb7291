"""Encoded images: every mode is scaled rightly or refused, and turned as its EXIF data say."""

import io

import numpy as np
import pytest
from PIL import Image
from refusal import refusal

from plasticity.data.images import decode

WIDE = np.arange(0, 60_000, 1000, dtype=np.uint16).reshape(6, 10)
GREY = (WIDE >> 8).astype(np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colour(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (6, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_keeps_its_upper_8(kind):
    found, peak = decode(encoded(Image.fromarray(WIDE), kind), "here")
    assert np.array_equal(found, np.repeat(GREY[None], 3, axis=0))
    assert peak == 59_000


def test_grey_of_16_bits_is_scaled_as_colour_of_16_bits_is():
    """Pillow itself reads 16-bit colour; the file is put together by hand, as it writes none."""
    import struct
    import zlib

    def chunk(name, data):
        whole = name + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = np.repeat(WIDE[:, :, None], 3, axis=2).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    size = struct.pack(">IIBBBBB", 10, 6, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
    data += chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    found, peak = decode(data, "here")
    assert np.array_equal(found, decode(encoded(Image.fromarray(WIDE)), "here")[0])
    assert peak is None


@pytest.mark.parametrize(
    ("values", "words"),
    [(np.int32, "32-bit integers"), (np.float32, "floating-point numbers")],
)
def test_a_range_that_no_format_states_is_refused(values, words):
    data = encoded(Image.fromarray(WIDE.astype(values)), "TIFF")
    message = refusal(decode, data, "a.parquet: row 7")
    assert message.startswith(f"a.parquet: row 7 is an image of {words} (TIFF)")
    assert "scale it to 8 or 16 bits" in message


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_are_as_pillow_converts_them(mode):
    image = Image.fromarray(colour()).convert(mode)
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    data = encoded(image, kind)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(decode(data, "here")[0], expected)


def test_transparent_colour_keeps_its_colour():
    pixels = np.dstack([colour(), np.zeros((6, 10), np.uint8)])
    found, _ = decode(encoded(Image.fromarray(pixels)), "here")
    assert np.array_equal(found, colour().transpose(2, 0, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("wide", [False, True])
def test_images_are_turned_as_the_hub_s_own_loader_does(orientation, wide):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(WIDE) if wide else Image.fromarray(colour())
    found, _ = decode(encoded(image, exif=exif.tobytes()), "here")
    upright = np.repeat(GREY[None], 3, axis=0) if wide else colour().transpose(2, 0, 1)
    axes = (1, 2)
    expected = {
        1: upright,
        2: np.flip(upright, 2),
        3: np.rot90(upright, 2, axes),
        4: np.flip(upright, 1),
        5: upright.transpose(0, 2, 1),
        6: np.rot90(upright, -1, axes),
        7: np.rot90(upright, 2, axes).transpose(0, 2, 1),
        8: np.rot90(upright, 1, axes),
    }[orientation]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_no_image_is_told_without_python_s_words(data):
    message = refusal(decode, data, "a.parquet: row 3")
    assert message.startswith("a.parquet: row 3 holds no readable image (")
    assert "BytesIO" not in message
    assert "object" not in message
