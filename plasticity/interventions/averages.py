"""A second network that is an average over the steps of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def move(network: nn.Module, to: nn.Module, by: float | Tensor) -> None:
    """Move `network` by this part of the way to another one of its architecture, in place.

    Parameters and running statistics; whole numbers, such as counts, are taken over. `by` is a
    number or a tensor [], on the device, in 0 .. 1, with which it becomes the other to the bit.
    """
    pairs = zip(
        [*network.parameters(), *network.buffers()],
        [*to.parameters(), *to.buffers()],
        strict=True,
    )
    for mine, theirs in pairs:
        if mine.is_floating_point():
            mine.lerp_(theirs, by if isinstance(by, float) else by.to(mine.dtype))
        else:
            mine.copy_(theirs)
