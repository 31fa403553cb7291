"""Which examples a stage trains on in which step: the order of each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice, repeat

import torch
from torch import Tensor

from plasticity.core.rng import torch_generator
from plasticity.data import apply
from plasticity.runs import Run, Term, TransformFacts
from plasticity.runs.facts import batches_of
from plasticity.runs.workload import require_a_batch, require_time_left
from plasticity.training.checkpoint import Checkpoint
from plasticity.training.examples import Batch, Examples


@dataclass(frozen=True)
class StepRange:
    """The steps of a stage: the first, the one before which it ends, and how many make an epoch.

    A stage that goes on from the one before begins where that one left off.
    """

    begin: int
    end: int
    per_epoch: int

    def epoch(self, done: int) -> int:
        """The epoch, counted from 1, that follows after `done` steps."""
        return done // self.per_epoch + 1

    def span(self, done: int) -> tuple[int, int]:
        """The first batch of that epoch that is still to come, and the one at which it ends."""
        before = done // self.per_epoch * self.per_epoch
        return done - before, min(self.per_epoch, self.end - before)


@dataclass(frozen=True)
class Subset:
    """What a stage draws batches from: `selected` indices, int64 [n], out of all `count`."""

    selected: Tensor
    count: int

    def examples(self, run: Run) -> int:
        """The number of examples that the last stage of `run` may see."""
        return self.count if run.stage.data.facts.fraction_of_all else len(self.selected)


@dataclass(frozen=True)
class Order:
    """The order in which a stage passes over its `subset`, in batches of `batch`.

    It depends on the `seed`, the `stage`, its `own` transforms and the epoch. The stage counts as
    its data and the number of earlier stages on the same (stages joined by ``till`` are one), so
    that the tuning of a warm run and its cold counterpart see the same batches; a pretraining that
    sees other images or labels has an order of its own, by the names of its transforms. Where there
    is a `fraction`, of the progress of the stage in 0 .. 1, examples are drawn with replacement,
    and the order depends on how long the stage is.
    """

    seed: int
    stage: tuple[str, int]
    own: tuple[str, ...]
    subset: Subset
    steps: StepRange
    batch: int
    transforms: tuple[Term[TransformFacts], ...]
    fraction: Callable[[float], float] | None

    def rest_of_epoch(self, done: int, device: torch.device, more: int = 0) -> Iterator[Batch]:
        """The batches of the epoch after `done` steps, less those `more` that are done as well.

        They are copied to `device` at once.
        """
        first, last = self.steps.span(done)
        return self._batches(done, device, slice(first + more, last))

    def whole_epoch(self, done: int, device: torch.device) -> Iterator[Batch]:
        """All batches of the epoch after `done` steps, copied to `device` at once."""
        return self._batches(done, device, slice(None))

    def _batches(self, done: int, device: torch.device, part: slice) -> Iterator[Batch]:
        indices, draws = self.epoch_batches(done)
        here = indices[part]
        drawn = repeat(None) if draws is None else draws[part].to(device)
        return map(Batch, here.to(device), drawn, here)

    def epoch_batches(self, done: int) -> tuple[Tensor, Tensor | None]:
        """All batches of the epoch that follows after `done` steps, or in which they are made.

        Indices, int64 [steps, batch], and what the transforms draw, int64 [steps, batch, k].
        """
        epoch = self.steps.epoch(done)
        order, seen = (
            torch_generator(self.seed, purpose, *self.stage, epoch, *self.own)
            for purpose in ("order", "views")
        )
        if self.fraction is None:
            indices = shuffled(self.subset.selected, self.batch, order)
        else:
            # As many steps as a pass through all examples has (Berariu et al., appendix A.2). The
            # current step counts from 1, so that the last one is N of N.
            first = (epoch - 1) * self.steps.per_epoch
            progress = [
                min(1.0, (first + step) / self.steps.end)
                for step in range(1, self.steps.per_epoch + 1)
            ]
            fractions = torch.tensor([self.fraction(n) for n in progress], dtype=torch.float64)
            indices = with_replacement(self.subset, fractions, self.batch, order)
        draws = apply.drawn(self.transforms, len(indices), self.batch, seen)
        return indices, draws if draws.shape[2] else None


def order_of(run: Run, subset: Subset, parent: Checkpoint | None) -> Order:
    """The order of the last stage of `run`, which draws from `subset`.

    `parent` is the state that it starts from. Raises `UserError` where there is less than a batch,
    or where the stage has passed its end.
    """
    stage, data = run.stage, run.stage.data
    first = len(run.stages) - 1
    while run.stages[first].length.unit == "till":  # stages that share a clock count as one
        first -= 1
    # What went before the weights were set back to the initialisation is forgotten.
    rewound = [n for n, one in enumerate(run.stages) if one.start.facts.rewinds]
    known = run.stages[max(rewound, default=0) : first]
    fraction = data.facts.fraction_of_all
    return Order(
        seed=run.seed,
        stage=(str(data), sum(earlier.seen == stage.seen for earlier in known)),
        own=tuple(str(one) for one in stage.transforms if one.member.name != "augment"),
        subset=subset,
        steps=steps_of(run, subset, parent),
        batch=stage.optimiser.options["batch"],
        transforms=stage.transforms,
        fraction=fraction and (lambda progress: fraction(progress, **data.own)),
    )


@dataclass(frozen=True)
class ComingBatches:
    """Batches as a stage will see them, for a start to look at: the same each time it goes through.

    They are `number` of the order of the stage, but of a draw of their own. Each is images,
    normalised float32 [b, c, h, w], and labels, int64 [b], on the device that trains.
    """

    order: Order
    examples: Examples
    number: int

    @classmethod
    def of(cls, run: Run, order: Order, examples: Examples) -> ComingBatches:
        """Those for the start of the last stage of `run`; raises `UserError`."""
        wanted = batches_of(run.stage.start)
        number = order.steps.per_epoch if wanted == "epoch" else wanted
        return cls(replace(order, stage=("start batches", len(run.stages))), examples, number)

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        per_epoch = self.order.steps.per_epoch
        first = self.order.steps.begin // per_epoch * per_epoch
        epochs = (self.order.whole_epoch(done, self.examples.device)
                  for done in count(first, per_epoch))  # fmt: skip
        return map(self.examples.batch, islice(chain.from_iterable(epochs), self.number))


def steps_of(run: Run, subset: Subset, parent: Checkpoint | None) -> StepRange:
    """The steps of the last stage of `run`; for the rest see `order_of`."""
    length, examples = run.stage.length, subset.examples(run)
    require_a_batch(run, examples)
    per_epoch = examples // run.stage.optimiser.options["batch"]
    if length.unit == "i":
        return StepRange(0, length.number, per_epoch)
    end = length.number * per_epoch
    if length.unit != "till":
        return StepRange(0, end, per_epoch)
    assert parent is not None
    begin = parent.iteration
    require_time_left(run, begin, end)
    return StepRange(begin, end, per_epoch)


def shuffled(indices: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """`indices` in a random order, in batches, int64 [steps, batch]; the last short one is dropped.

    Dropping it gives the 390 steps an epoch of Berariu et al., appendix A.2. Drawn on the CPU, so
    that it is the same on every device.
    """
    order = indices[torch.randperm(len(indices), generator=generator)]
    return order[: len(order) // batch * batch].view(-1, batch)


def with_replacement(
    subset: Subset, fractions: Tensor, batch: int, generator: torch.Generator
) -> Tensor:
    """Batches that are drawn with replacement, int64 [steps, batch]: one for each of `fractions`.

    Each index is uniform over all examples with the probability in `fractions`, float64 [steps],
    and uniform over those that are selected otherwise. Drawn on the CPU, as `shuffled`.
    """
    shape, selected = (len(fractions), batch), subset.selected
    anywhere = torch.randint(subset.count, shape, generator=generator)
    inside = selected[torch.randint(len(selected), shape, generator=generator)]
    chance = torch.rand(shape, generator=generator, dtype=torch.float64)
    return torch.where(chance < fractions[:, None], anywhere, inside)
