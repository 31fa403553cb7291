"""Encoded images, such as PNG or JPEG, decoded to 8 bits, and brought to one size."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from plasticity.core.errors import UserError

SIXTEEN_BITS = ("PNG", "PPM")
"""Formats whose grey images of 16 bits Pillow may give as numbers of 32 bits, in 0 .. 65535."""

UNCERTAIN = {"I": "32-bit integers", "F": "floating-point numbers"}
"""Modes of Pillow's whose range no format states."""


FULL_SCALE = 4096
"""Grey images of 16 bits that stay below may be of 12 bits."""


def decode(
    data: bytes, where: str, channels: int = 3, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, int | None]:
    """The image encoded in `data` as uint8 [channels, height, width], turned as its EXIF data say.

    So the Hugging Face library decodes it. Three `channels` are red, green and blue, one is grey. A
    transparent image is that without its alpha channel. Of 16 bits the upper 8 are taken, as Pillow
    does with 16-bit colour; the largest value of a grey image of 16 bits comes with it, None for
    any other. At last it is brought to `size`, height and width, as `resized` does. Raises
    `UserError`, which begins with `where`, for what is no image, or one whose range is not certain.
    """
    from PIL import Image, ImageOps

    peak = None
    with _readable(where):
        opened = Image.open(io.BytesIO(data))
        opened.load()
        kind, image = opened.format, ImageOps.exif_transpose(opened)
    if image.mode.startswith("I;16") or (image.mode == "I" and kind in SIXTEEN_BITS):
        wide = np.asarray(image).astype(np.uint16)
        image, peak = Image.fromarray((wide >> 8).astype(np.uint8)), int(wide.max())
    if image.mode in UNCERTAIN:
        raise UserError(
            f"{where} is an image of {UNCERTAIN[image.mode]} ({kind}), whose range is not certain; "
            "scale it to 8 or 16 bits"
        )
    image = image.convert("RGB" if channels == 3 else "L")
    if size and size != (image.height, image.width):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    found = np.asarray(image)
    return (found.transpose(2, 0, 1) if channels == 3 else found[None]), peak


def decode_all(
    encoded: Iterable[tuple[bytes, str]],
    count: int,
    where: str,
    part: str,
    *,
    channels: int = 3,
    size: tuple[int, int] | None = None,
    advice: str = "expected one size",
) -> tuple[np.ndarray, list[str]]:
    """The `count` images that are `encoded`, each with the place that messages name.

    As uint8 [n, channels, h, w], with notes for the log. They are the `part` of what is in `where`.
    Raises `UserError`, as `decode` does, and for images of several sizes, with `advice`.
    """
    images, peaks = np.empty(0, np.uint8), []
    for number, (data, place) in enumerate(encoded):
        image, peak = decode(data, place, channels, size)
        if number == 0:
            images = np.empty((count, *image.shape), np.uint8)
        elif image.shape != images.shape[1:]:
            raise UserError(
                f"{place} is an image of {image.shape[1:]} pixels among others of "
                f"{images.shape[2:]}; {advice}"
            )
        images[number] = image
        peaks += [] if peak is None else [peak]
    if peaks and 0 < max(peaks) < 256:
        raise UserError(
            f"{where}: the 16-bit {part} images go up to {max(peaks)} of 65535 and would all be "
            "black; scale them to 8 or to 16 bits"
        )
    if peaks and max(peaks) < FULL_SCALE:
        dark = f"the 16-bit {part} images go up to {max(peaks)} of 65535: dark, or of 12 bits"
        return images, [dark]
    return images, []


def size_of(data: bytes | Path, where: str) -> tuple[int, int]:
    """Height and width of an image, encoded or in a file, by its header alone; raises `UserError`.

    Turned as its EXIF data say.
    """
    from PIL import ExifTags, Image

    with _readable(where), Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as one:
        turned = one.getexif().get(ExifTags.Base.Orientation) in range(5, 9)
        return (one.width, one.height) if turned else (one.height, one.width)


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`images`, uint8 [n, c, h, w], brought to `size`, height and width.

    Bilinear, with all pixels counted that a smaller one covers, as Pillow does it; proportions may
    change.
    """
    from PIL import Image

    if images.shape[2:] == size:
        return images
    found = np.empty((*images.shape[:2], *size), np.uint8)
    for place in np.ndindex(images.shape[:2]):
        plane = Image.fromarray(np.ascontiguousarray(images[place]))
        found[place] = plane.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return found


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Raise `UserError`, which begins with `where`, for what is no image that Pillow reads."""
    from PIL import UnidentifiedImageError

    try:
        yield
    except Exception as error:  # Pillow's readers raise whatever they come upon
        is_told = isinstance(error, OSError) and not isinstance(error, UnidentifiedImageError)
        words = str(error) if is_told else "damaged, or of an unknown format"
        raise UserError(
            f"{where} holds no readable image ({words}); fetch the file again"
        ) from error
