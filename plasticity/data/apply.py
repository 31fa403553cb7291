"""What a stage sees of its examples: transforms applied to the data, and to every batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from plasticity.core.errors import UserError
from plasticity.runs import Term, TransformFacts
from plasticity.runs.combination import applied

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from plasticity.runs.facts import Changes


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
    position stands for its random numbers, so that all of its values are equally frequent. Raises
    `UserError` where images must be square and are not.
    """
    import torch

    require_square(terms, *images.shape[-2:])
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


def require_square(terms: Sequence[Term[TransformFacts]], height: int, width: int) -> None:
    """Raise `UserError` where one of `terms` needs square images and these are not."""
    for term in terms:
        if term.facts.square and height != width:
            raise UserError(
                f"transform '{term}': it needs square images, and those of this data set have "
                f"{height} x {width} pixels; leave it out, or take a data set of square images"
            )


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
    """Those of `terms` that change the `what`, such as the images, in the order they act."""
    return [term for term in applied(terms) if term.facts.changes == what]
