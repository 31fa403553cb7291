"""Images blurred: averaged over a coarser grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Integer, TransformFacts, transforms

if TYPE_CHECKING:
    from torch import Tensor

PIECE = 1000
"""Images that are blurred at once: it bounds memory."""


# R: the critical periods and the factor are recalled, not stated in the paper at hand.
@transforms.member("blur{factor}", facts=TransformFacts("images"), factor=Integer(at_least=2))
def blur(images: Tensor, *, factor: int) -> Tensor:
    """Images without detail: averaged over `factor` x `factor` pixels, and back up bilinearly.

    Downsampling by four and back is what work on critical periods does. Computed on the CPU, so
    that the images are the same on every device.
    """
    import torch

    pieces = [_blurred(piece, factor) for piece in torch.split(images.cpu(), PIECE)]
    return torch.cat(pieces).to(images.device)


def _blurred(images: Tensor, factor: int) -> Tensor:
    """Images, uint8 [n, c, h, w], by way of round(h / factor) x round(w / factor) pixels."""
    import torch
    from torch.nn.functional import interpolate

    size = images.shape[-2:]
    few = [max(1, round(pixels / factor)) for pixels in size]
    # Averages over areas that overlap, where the size cannot be divided.
    small = interpolate(images.to(torch.float32), size=few, mode="area")
    return interpolate(small, size=size, mode="bilinear").round().to(torch.uint8)
