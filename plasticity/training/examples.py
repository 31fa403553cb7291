"""The examples of a stage on its device, as the stage sees them, and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from plasticity.data import apply
from plasticity.data.storage import DataPart
from plasticity.runs import Term, TransformFacts


@dataclass(frozen=True)
class Batch:
    """The indices of some examples, int64 [b], and what their transforms drew, int64 [b, k].

    For images that stay on the host there are these indices `on_host`, and the `images` themselves,
    uint8 [b, c, h, w] on the device, once they are delivered.
    """

    indices: Tensor | slice
    draws: Tensor | None = None
    on_host: Tensor | None = None
    images: Tensor | None = None


@dataclass(frozen=True)
class Examples:
    """Examples on the device: images uint8 [n, c, h, w] and labels int64 [n].

    Where `streamed` is true the images are on the host, and a batch is copied when it is due. The
    bits are the same.

    `mean` and `std`, float32 [1, c, 1, 1] on a scale of 0 .. 255, normalise the images.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    transforms: tuple[Term[TransformFacts], ...] = ()
    """How they are seen; of these, some change batches as they pass."""
    streamed: bool = False

    @property
    def device(self) -> torch.device:
        """Where batches of them are."""
        return self.labels.device

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Normalised images, float32 in channels-last order, and labels of a batch."""
        images, labels = self._images_of(batch), self.labels[batch.indices]
        if batch.draws is not None:
            images, labels = apply.apply_to_batch(self.transforms, images, labels, batch.draws)
        images = images.to(torch.float32, memory_format=torch.channels_last)
        return (images - self.mean) / self.std, labels

    def _images_of(self, batch: Batch) -> Tensor:
        if not self.streamed:
            return self.images[batch.indices]
        if batch.images is not None:
            return batch.images
        indices = batch.indices
        there = indices if isinstance(indices, slice) else indices.to(self.images.device)
        return self.images[there].to(self.device)

    def delivered(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """`batches`, with their images where these are on the host.

        They are gathered and their copy begins while the device is busy with the steps before: it
        is not waited for.
        """
        if not self.streamed:
            # One by one: `yield from` would end `batches` where these are left, to be gone on with.
            for batch in batches:
                yield batch
            return
        for batch in batches:
            assert batch.on_host is not None
            images = self.images[batch.on_host]
            if self.device.type == "cuda":
                images = images.pin_memory()
            yield replace(batch, images=images.to(self.device, non_blocking=True))


def on_device(
    part: DataPart,
    seen: tuple[Term[TransformFacts], ...],
    generator_for: Callable[[Term[TransformFacts]], torch.Generator],
    device: torch.device,
    *,
    test: bool,
    streamed: bool = False,
) -> Examples:
    """The examples of `part` on `device` by way of the transforms `seen`.

    `generator_for` gives each of these that draws a generator; those to `test` on keep their true
    labels. Where `streamed` is true the images stay on the host.
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
        images=images if streamed else images.to(device),
        labels=labels.to(device),
        mean=per_channel(part.header.mean),
        std=per_channel(part.header.deviation),
        transforms=seen,
        streamed=streamed,
    )
