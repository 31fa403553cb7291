"""The examples of a stage on its device, as the stage sees them, and batches of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from plasticity.data import apply
from plasticity.data.storage import DataPart
from plasticity.runs import Term, TransformFacts


@dataclass(frozen=True)
class Batch:
    """The indices of some examples, int64 [b], and what their transforms drew, int64 [b, k]."""

    indices: Tensor | slice
    draws: Tensor | None = None


@dataclass(frozen=True)
class Examples:
    """Examples on the device: images uint8 [n, c, h, w] and labels int64 [n].

    `mean` and `std`, float32 [1, c, 1, 1] on a scale of 0 .. 255, normalise the images.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    transforms: tuple[Term[TransformFacts], ...] = ()
    """How they are seen; of these, some change batches as they pass."""

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Normalised images, float32 in channels-last order, and labels of a batch."""
        images, labels = self.images[batch.indices], self.labels[batch.indices]
        if batch.draws is not None:
            images, labels = apply.apply_to_batch(self.transforms, images, labels, batch.draws)
        images = images.to(torch.float32, memory_format=torch.channels_last)
        return (images - self.mean) / self.std, labels


def on_device(
    part: DataPart,
    seen: tuple[Term[TransformFacts], ...],
    generator_for: Callable[[Term[TransformFacts]], torch.Generator],
    device: torch.device,
    *,
    test: bool,
) -> Examples:
    """The examples of `part` on `device` by way of the transforms `seen`.

    `generator_for` gives each of these that draws a generator; those to `test` on keep their true
    labels.
    """
    images, labels = apply.apply_to_data(
        seen,
        torch.from_numpy(part.images),
        torch.from_numpy(part.labels),
        len(part.header.classes),
        generator_for,
        test=test,
    )

    def per_channel(values: list[float]) -> Tensor:
        # Images are stored in 0 .. 255, their statistics in 0 .. 1.
        return torch.tensor(values, dtype=torch.float32, device=device).mul(255).view(1, -1, 1, 1)

    return Examples(
        images=images.to(device),
        labels=labels.to(device),
        mean=per_channel(part.header.mean),
        std=per_channel(part.header.deviation),
        transforms=seen,
    )
