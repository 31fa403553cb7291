"""Views: what a stage sees of its examples, such as blurred images or random labels.

To add one, declare a function with the fact ``changes``, which says what it is given:

- ``images``: images, uint8 [n, c, h, w], of which it returns as many of the same shape. Training
  and test images are changed once, before training.
- ``labels``: labels, int64 [n], the number of classes and a generator; it returns other labels.
  Those of training are changed once, and so the same in every epoch; those of testing stay true.
- ``batches``: images, uint8 [b, c, h, w], labels, int64 [b], and random numbers, int64 [b, k], all
  on one device; it returns images and labels. It is called for every batch of training, where
  shapes may not depend on what tensors hold and nothing may wait for the device, so that CUDA can
  record it. The fact ``draws`` has k numbers: random number i is uniform in 0 .. draws[i] - 1.
  Where it gives labels of its own, ``classes`` says how many there are; where ``test`` is true it
  is applied to the test examples as well, once.
- ``order``: nothing. The examples come in another order.

Several transforms of a stage are applied in the order of their declaration, which is the order
above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from plasticity.runs import Integer, Term, TransformFacts, transforms

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from plasticity.runs.facts import Changes

PIECE = 1000
"""Images that are blurred at once: it bounds memory."""

MARGIN = 4
"""Black pixels around an image, of which a part the size of the image is cropped."""


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


@transforms.member("randomlabels", facts=TransformFacts("labels"))
def randomlabels(labels: Tensor, classes: int, generator: Generator) -> Tensor:
    """Labels drawn uniformly from all classes, one for each example."""
    import torch

    return torch.randint(classes, labels.shape, generator=generator).to(labels.device)


@transforms.member("rotation", facts=TransformFacts("batches", draws=(4,), classes=4, test=True))
def rotation(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Square images turned by 0 to 3 quarters, anticlockwise, and how many as their labels."""
    import torch

    quarters = draws[:, 0]
    turned = images
    for number in range(1, 4):
        chosen = (quarters == number).view(-1, 1, 1, 1)
        turned = torch.where(chosen, torch.rot90(images, number, (-2, -1)), turned)
    return turned, quarters


@transforms.member(
    "augment", facts=TransformFacts("batches", draws=(2 * MARGIN + 1, 2 * MARGIN + 1, 2))
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


@transforms.member("order{number}", facts=TransformFacts("order"), number=Integer(at_least=1))
def order(*, number: int) -> None:
    """The same examples in another order, the one of this number: nothing else changes."""


def apply_to_data(
    terms: Sequence[Term[TransformFacts]],
    images: Tensor,
    labels: Tensor,
    classes: int,
    generator_for: Callable[[Term[TransformFacts]], Generator],
    *,
    test: bool,
) -> tuple[Tensor, Tensor]:
    """Images, uint8 [n, c, h, w], and labels, int64 [n], as `terms` change them before training.

    `classes` is how many the data set has; `generator_for` gives each view of the labels a
    generator on the CPU. Where a view of batches is applied to the examples of the test, their
    position stands for its random numbers, so that all of its values are equally frequent.
    """
    import torch

    for term in _that_change("images", terms):
        images = term(images)
    if not test:
        for term in _that_change("labels", terms):
            labels = term(labels, classes, generator_for(term))
        return images, labels
    position = torch.arange(len(labels), device=labels.device)
    for term in _that_change("batches", terms):
        if term.facts.test:
            draws = torch.stack([position % values for values in term.facts.draws], dim=1)
            images, labels = term(images, labels, draws)
    return images, labels


def drawn(
    terms: Sequence[Term[TransformFacts]], steps: int, batch: int, generator: Generator
) -> Tensor:
    """The random numbers of an epoch for `apply_to_batch`, int64 [steps, batch, k], on the CPU.

    Those of all transforms of batches side by side; k may be 0.
    """
    import torch

    values = [number for term in _that_change("batches", terms) for number in term.facts.draws]
    draws = torch.zeros((steps, batch, len(values)), dtype=torch.int64)
    for column, number in enumerate(values):
        draws[:, :, column] = torch.randint(number, (steps, batch), generator=generator)
    return draws


def apply_to_batch(
    terms: Sequence[Term[TransformFacts]], images: Tensor, labels: Tensor, draws: Tensor
) -> tuple[Tensor, Tensor]:
    """A batch of images, uint8 [b, c, h, w], and labels, int64 [b], as `terms` change it.

    `draws`, int64 [b, k], is what `drawn` gives for one step, on the device of the images.
    """
    first = 0
    for term in _that_change("batches", terms):
        last = first + len(term.facts.draws)
        images, labels = term(images, labels, draws[:, first:last])
        first = last
    return images, labels


def classes_of(terms: Sequence[Term[TransformFacts]], classes: int) -> int:
    """How many classes a network must tell apart under `terms`, on a data set with `classes`."""
    own = [term.facts.classes for term in terms if term.facts.classes is not None]
    return own[0] if own else classes


def task_of(terms: Sequence[Term[TransformFacts]]) -> str:
    """The spelling of the view that has labels of its own, or nothing: the data set's labels."""
    return next((str(term) for term in terms if term.facts.classes is not None), "")


def _that_change(
    what: Changes, terms: Sequence[Term[TransformFacts]]
) -> list[Term[TransformFacts]]:
    """The transforms among `terms` that change the `what`, such as the images."""
    return [term for term in terms if term.facts.changes == what]
