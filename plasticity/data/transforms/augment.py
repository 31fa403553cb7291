"""Random crops and flips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import TransformFacts, transforms

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 4
"""Black pixels around an image, of which a part the size of the image is cropped."""


@transforms.member(
    "augment",
    facts=TransformFacts("batches", draws=(2 * MARGIN + 1, 2 * MARGIN + 1, 2), acts="geometry"),
)
def augment(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Images cropped at random out of a black margin, half of them flipped left to right.

    The random numbers are the row and the column at which the crop begins, and whether to flip.
    """
    import torch
    from torch.nn.functional import pad

    _, channels, height, width = images.shape
    top, left, flip = draws.unbind(1)
    rows, columns = (torch.arange(pixels, device=images.device) for pixels in (height, width))
    columns = torch.where(flip[:, None] == 1, columns.flip(0), columns)
    # Where each pixel comes from, [b, h, w], in an image with its margin read line by line.
    line = width + 2 * MARGIN
    places = (top[:, None] + rows)[:, :, None] * line + (left[:, None] + columns)[:, None, :]
    places = places.flatten(1)[:, None].expand(-1, channels, -1)
    framed = pad(images, (MARGIN, MARGIN, MARGIN, MARGIN)).flatten(2)
    return framed.gather(2, places).view(images.shape), labels
