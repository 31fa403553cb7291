"""Encoded images, such as PNG or JPEG, decoded to 8 bits and three channels."""

from __future__ import annotations

import io

import numpy as np

from plasticity.core.errors import UserError

SIXTEEN_BITS = ("PNG", "PPM")
"""Formats whose grey images of 16 bits Pillow may give as numbers of 32 bits, in 0 .. 65535."""

UNCERTAIN = {"I": "32-bit integers", "F": "floating-point numbers"}
"""Modes of Pillow's whose range no format states."""


def decode(data: bytes, where: str) -> tuple[np.ndarray, int | None]:
    """The image encoded in `data` as uint8 [3, height, width], turned as its EXIF data say.

    So the Hugging Face library decodes it. A transparent image is that without its alpha channel.
    Of 16 bits the upper 8 are taken, as Pillow does with 16-bit colour; the largest value of a grey
    image of 16 bits comes with it, None for any other. Raises `UserError`, which begins with
    `where`, for what is no image, or one whose range is not certain.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        opened = Image.open(io.BytesIO(data))
        opened.load()
        kind, image = opened.format, ImageOps.exif_transpose(opened)
    except Exception as error:  # Pillow's readers raise whatever they come upon
        is_told = isinstance(error, OSError) and not isinstance(error, UnidentifiedImageError)
        words = str(error) if is_told else "damaged, or of an unknown format"
        raise UserError(
            f"{where} holds no readable image ({words}); fetch the file again"
        ) from error
    if image.mode.startswith("I;16") or (image.mode == "I" and kind in SIXTEEN_BITS):
        wide = np.asarray(image).astype(np.uint16)
        return np.repeat((wide >> 8).astype(np.uint8)[None], 3, axis=0), int(wide.max())
    if image.mode in UNCERTAIN:
        raise UserError(
            f"{where} is an image of {UNCERTAIN[image.mode]} ({kind}), whose range is not certain; "
            "scale it to 8 or 16 bits"
        )
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1), None
