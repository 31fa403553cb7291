"""The learning rate of a stage by its clock: drops after epochs, linear warm-up, cosine decay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.optim import Optimizer

from plasticity.runs import Run
from plasticity.training.batches import StepRange
from plasticity.training.examples import Batch


@dataclass(frozen=True)
class Schedule:
    """How the rate of a rule follows the `steps` of a stage.

    It is divided by 10 after each of the epochs `drops`. It rises in each step of the first `warm`
    epochs on the clock, in step n of N to n / N of itself. Where there is a `cosine`, it falls
    after these in each step to 0 at the end of the stage: half a cosine, without restarts
    (Loshchilov & Hutter 2017, eq. 5). The three multiply. A stage begins it anew, but for one that
    goes on with the clock of the stage before. A rule's own changes of its rate do not last where
    each step has one.
    """

    steps: StepRange
    drops: tuple[int, ...] = ()
    warm: int = 0
    cosine: bool = False

    @classmethod
    def of(cls, run: Run, steps: StepRange) -> Schedule:
        """That of the last stage of `run`, which makes `steps`."""
        options = run.stage.optimiser.options
        return cls(steps, options["drops"], options["warm"] or 0, options["schedule"] == "cosine")

    @property
    def changes_every_step(self) -> bool:
        """Whether it sets a rate for every step, and does not only lower it now and then."""
        return bool(self.warm) or self.cosine

    def factor(self, done: int) -> float:
        """What the rule's rate is multiplied by in the step after `done` steps on the clock."""
        warm = self.warm * self.steps.per_epoch
        epoch = self.steps.epoch(done)
        factor = 10.0 ** -sum(drop < epoch for drop in self.drops)
        if done < warm:
            factor *= (done + 1) / warm
        elif self.cosine:
            progress = (done - warm) / (self.steps.end - warm)
            factor *= (1 + math.cos(math.pi * progress)) / 2
        return factor

    def prepare(self, optimiser: Optimizer) -> None:
        """Let `optimiser`, which has made no step yet, keep the rates that factors are applied to.

        Where there are such factors. So it is known to follow them.
        """
        if self.changes_every_step:
            for group in optimiser.param_groups:
                group["initial_lr"] = group["lr"]

    def followed(
        self, batches: Iterator[Batch], optimiser: Optimizer, done: int
    ) -> Iterator[Batch]:
        """`batches` of an epoch, which come after `done` steps on the clock.

        When one is taken, the rate of `optimiser` is that of its step.
        """
        if not self.changes_every_step:
            set_learning_rate(optimiser, self.steps.epoch(done), self.drops)
            return batches
        return self._one_by_one(batches, optimiser, done)

    def _one_by_one(
        self, batches: Iterator[Batch], optimiser: Optimizer, done: int
    ) -> Iterator[Batch]:
        for step, batch in enumerate(batches, start=done):
            for group in optimiser.param_groups:
                # As float32, which a device is given in a recorded step: the same in any other.
                rate = float(np.float32(group["initial_lr"] * self.factor(step)))
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate
            yield batch


def set_learning_rate(optimiser: Optimizer, epoch: int, drops: Sequence[int]) -> None:
    """Divide the learning rate by 10 for each of the epochs in `drops` that lies before `epoch`.

    Epochs are counted from 1. How many drops were made is kept with the rate, so that each is made
    once; in between the rate is the rule's own.
    """
    passed = sum(drop < epoch for drop in drops)
    for group in optimiser.param_groups:
        made = group.get("drops", 0)
        if passed == made:
            continue
        first = group.setdefault("initial_lr", group["lr"])
        if group["lr"] == 10.0**-made * first:  # rounded once, however many drops there are
            group["lr"] = 10.0**-passed * first
        else:
            group["lr"] = 10.0 ** (made - passed) * group["lr"]
        group["drops"] = passed
