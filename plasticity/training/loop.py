"""The training loop: one epoch of steps, then an evaluation, read from the device once.

The data set lives on the device as uint8, or on the host where it is too large. Losses and correct
answers add up on the device; nothing inside an epoch waits for it, unless it is left off to be
continued.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from plasticity.core.errors import UserError
from plasticity.interventions.method import Again, Pass
from plasticity.models import generators
from plasticity.models.network import Network
from plasticity.models.undo import put_back
from plasticity.runs.compute import Precision
from plasticity.runs.metrics import EVALUATED, EpochMetrics
from plasticity.training import methods
from plasticity.training.backends import DTYPES, bare_step, refusing_shortages
from plasticity.training.examples import Batch, Examples
from plasticity.training.methods import Methods

EVALUATION_BATCH = 1000
"""Test images that are evaluated at once: it bounds memory."""


Step = Callable[[Batch], object]
"""One step of training, on a batch."""


@dataclass(frozen=True)
class TrainState:
    """A network, its optimiser, and the arithmetic that they are trained in."""

    network: Network
    optimiser: Optimizer
    precision: Precision
    masks: Sequence[tuple[nn.Parameter, Tensor]] = ()
    """Weights of which some are pruned, and their masks, 1 or 0, float32 of their shape."""
    execution: EagerExecution = field(default_factory=lambda: EagerExecution())
    """How the operations of steps and evaluations reach the device."""
    passes: int = 1
    """How often the rule evaluates the loss in a step: it is given a closure where more than once.
    """
    methods: Methods = methods.NONE

    def backward(self, images: Tensor, labels: Tensor) -> Pass:
        """A pass over a batch, whose gradients the parameters are left with.

        Those of the loss with the terms of the methods. They are masked, so that momentum keeps
        nothing of what was pruned.
        """
        with self.autocast(images.device), self.methods.watching() as activations:
            logits = self.network(images)
        made = Pass(
            network=self.network,
            optimiser=self.optimiser,
            images=images,
            labels=labels,
            logits=logits,
            loss=cross_entropy(logits.float(), labels),
            again=self.closure(images, labels) if self.makes_more_passes else not_declared,
            activations=activations,
        )
        objective = self.methods.objective(made)
        self.optimiser.zero_grad()
        objective.backward()  # type: ignore[no-untyped-call]
        self._mask_gradients()
        return made.detached()

    @property
    def makes_more_passes(self) -> bool:
        """Whether its rule or a method evaluates the loss again in a step."""
        return self.passes > 1 or self.methods.passes > 0

    def _mask_gradients(self) -> None:
        # A layer that is frozen or not used has no gradient.
        pairs: Any = [(w.grad, mask) for w, mask in self.masks if w.grad is not None]
        if pairs:
            torch._foreach_mul_(*map(list, zip(*pairs, strict=True)))

    def step(self) -> Callable[[Pass], object]:
        """What makes a step by the gradients that a pass has left.

        Pruned weights stay at 0.
        """
        bare = bare_step(self.optimiser)

        def step(made: Pass) -> None:
            if self.methods.members:
                with torch.no_grad():
                    self.methods.change_gradients(made)
                self._mask_gradients()
            if self.passes == 1:
                bare()
            else:
                bare(made.again)
            with torch.no_grad():
                self.prune()
                self.methods.change_weights(made, self.prune)

        return step

    def prune(self) -> None:
        """Set the weights that are pruned to 0."""
        if self.masks:
            weights, masks = map(list, zip(*self.masks, strict=True))
            torch._foreach_mul_(weights, masks)

    def closure(self, images: Tensor, labels: Tensor) -> Again:
        """What evaluates the loss of a batch and its gradients at the present weights.

        Buffers, such as running statistics, stay those of the pass before the step.
        """

        def evaluate(rows: slice = slice(None)) -> Tensor:
            with torch.enable_grad(), put_back(list(self.network.buffers())):
                return self.backward(images[rows], labels[rows]).loss

        return evaluate

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context in which the forward pass runs. Weights and their steps stay in float32."""
        dtype = DTYPES[self.precision]
        return torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)


def not_declared(rows: slice = slice(None)) -> Tensor:
    """Refuse a pass that nobody counts, and that two methods of a stage might make."""
    raise UserError(
        "a method of this stage makes a further pass in its steps, and declares none; let it: "
        "facts=MethodFacts(..., passes=1)"
    )


@dataclass
class EpochProgress:
    """How far an epoch has come: batches trained on, and what was measured on the way.

    `sums`, as of `no_sums`, stay on the device; `seconds` is wall time.
    """

    sums: Tensor
    batches: int = 0
    seconds: float = 0.0

    @classmethod
    def begin(cls, device: torch.device, stored: Tensor | None = None) -> EpochProgress:
        """Nothing of the epoch yet, or where `as_tensor` was `stored`."""
        if stored is None:
            return cls(no_sums(device))
        batches, seconds, *sums = stored.tolist()
        return cls(torch.tensor(sums, dtype=torch.float64, device=device), int(batches), seconds)

    def as_tensor(self) -> Tensor:
        """All of it as numbers, float64 [6], on the CPU; waits for the device."""
        return torch.tensor([self.batches, self.seconds, *self.sums.tolist()], dtype=torch.float64)


@dataclass(frozen=True)
class Diverged:
    """The loss or a weight was no longer finite at this `step`, counted from 1 by the clock."""

    step: int


def never() -> bool:
    """To go on to the end."""
    return False


class EagerExecution:
    """Steps and evaluations operation by operation, as Python comes to them."""

    @contextmanager
    def training(self, train_state: TrainState, examples: Examples, sums: Tensor) -> Iterator[Step]:
        """What makes a step on a batch of `examples`; `sums` are right once this is left."""
        train_state.network.train()
        optimiser_step = train_state.step()

        def step(batch: Batch) -> None:
            images, labels = examples.batch(batch)
            made = train_state.backward(images, labels)
            optimiser_step(made)
            add_batch(sums, made.loss, made.logits, labels)

        yield step

    def evaluation(
        self, train_state: TrainState, examples: Examples, stop: Callable[[], bool]
    ) -> Tensor | None:
        """See `evaluate`."""
        sums = no_sums(examples.device)
        return sums if evaluate_all(train_state, examples, sums, stop) else None


def train_on(
    train_state: TrainState,
    examples: Examples,
    batches: Iterator[Batch],
    part: EpochProgress,
    pause: Callable[[], bool] = never,
) -> bool:
    """One step for each of `batches`, added to `part`.

    `pause` is asked after each step. Returns whether the batches came to their end; where not,
    calling this again goes on. Raises `torch.OutOfMemoryError` also where memory ran short on the
    way and the steps were made otherwise.
    """
    began = time.perf_counter()
    finished = True
    execution = train_state.execution
    with refusing_shortages(), execution.training(train_state, examples, part.sums) as step:
        for batch in examples.delivered(batches):
            step(batch)
            part.batches += 1
            if pause():
                finished = False
                break
    if not finished:
        part.sums.tolist()  # waits for the device, which may be far behind
    part.seconds += time.perf_counter() - began
    return finished


def finish_epoch(
    train_state: TrainState,
    epoch: int,
    iteration: int,
    part: EpochProgress,
    test: Examples | None,
    stop: Callable[[], bool] = never,
    validation: Examples | None = None,
) -> EpochMetrics | Diverged | None:
    """What an epoch measured that was trained to its end, with an evaluation on `test`.

    And on what is held out for `validation`, where there is such; on neither where it is not due.
    None where `stop` said so during the evaluation, which can then be made again. The step at
    which training diverged is that of the first loss that is not finite; where only the evaluation
    or the weights are not, it is the last one.
    """
    began = time.perf_counter()
    measured = []
    for name, examples in (("test", test), ("validation", validation)):
        if test is None or examples is None:
            continue
        evaluated = evaluate(train_state, examples, stop)
        if evaluated is None:
            return None
        measured.append((name, evaluated))
    # The one place in an epoch where the host waits for the device.
    told = [part.sums, *(sums for _, sums in measured), all_finite(train_state.network)]
    train_loss, train_correct, trained, sound, *rest, finite = torch.cat(told).tolist()
    if sound < part.batches:
        return Diverged(iteration - part.batches + int(sound) + 1)
    found: dict[str, float | None] = dict.fromkeys(EVALUATED)
    for number, (name, _) in enumerate(measured):
        loss, correct, count, _ = rest[4 * number : 4 * number + 4]
        found |= {f"{name}_loss": loss / count, f"{name}_accuracy": correct / count}
    if not finite or not all(value is None or math.isfinite(value) for value in found.values()):
        return Diverged(iteration)
    return EpochMetrics(
        epoch=epoch,
        iteration=iteration,
        train_loss=train_loss / trained,
        train_accuracy=train_correct / trained,
        seconds=part.seconds + time.perf_counter() - began,
        **found,
    )


def all_finite(network: nn.Module) -> Tensor:
    """Whether all parameters of `network` are finite: 1 or 0, float64 [1], on the device."""
    finite = [parameter.detach().isfinite().all() for parameter in network.parameters()]
    return torch.stack(finite).all().double().view(1)


def evaluate(
    train_state: TrainState, examples: Examples, stop: Callable[[], bool] = never
) -> Tensor | None:
    """The sums, as of `no_sums`, over all of `examples`, in evaluation mode.

    None where `stop`, which is asked now and then, said so. Training goes on with the same draws
    whether there was an evaluation or not. Raises as `train_on`.
    """
    with refusing_shortages(), generators.kept(examples.device):
        return train_state.execution.evaluation(train_state, examples, stop)


@torch.inference_mode()
def evaluate_all(
    train_state: TrainState, examples: Examples, sums: Tensor, stop: Callable[[], bool] = never
) -> bool:
    """Fill `sums` for `evaluate`; whether it came to the end: `stop` is asked after each batch."""
    sums.zero_()
    network = train_state.methods.evaluated(train_state.network).eval()
    for first in range(0, len(examples), EVALUATION_BATCH):
        images, labels = examples.batch(Batch(slice(first, first + EVALUATION_BATCH)))
        with train_state.autocast(images.device):
            logits = network(images)
        add_batch(sums, cross_entropy(logits.float(), labels), logits, labels)
        if stop():
            return False
    return True


def no_sums(device: torch.device) -> Tensor:
    """Sums of loss, correct answers, examples, and batches before a loss that is not finite.

    Float64 [4], before there are any.
    """
    return torch.zeros(4, dtype=torch.float64, device=device)


def add_batch(sums: Tensor, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Add a batch with mean `loss` to `sums`, as of `no_sums`, there."""
    correct = (logits.argmax(dim=1) == labels).sum()
    sums[0] += loss * len(labels)
    sums[1] += correct
    sums[2] += len(labels)
    sums[3] += sums[0].isfinite()  # once the sum is not, it stays so
