"""The training loop: one epoch of updates, then an evaluation, read from the device once.

The data set lives on the device as uint8. Losses and hits add up there; nothing inside an epoch
waits for the device, unless it is left off to be continued.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from plasticity.data.apply import apply_to_batch
from plasticity.runs import Term, TransformFacts
from plasticity.runs.metrics import EpochMetrics

DTYPES = {
    "float32": torch.float32,
    "tfloat32": torch.float32,
    "bfloat16": torch.bfloat16,
}
"""What the forward pass computes in, by the name of a precision."""
EVALUATION_BATCH = 1000
"""Test images that are evaluated at once: it bounds memory."""


@dataclass(frozen=True)
class Batch:
    """The indices of some examples, int64 [b], and what their transforms drew, int64 [b, k]."""

    indices: Tensor | slice
    draws: Tensor | None = None


@dataclass(frozen=True)
class Examples:
    """Examples on the device: images uint8 [n, c, h, w] and labels int64 [n].

    `mean` and `deviation`, float32 [1, c, 1, 1] on a scale of 0 .. 255, normalise the images.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    deviation: Tensor
    transforms: tuple[Term[TransformFacts], ...] = ()
    """How they are seen; of these, some change batches as they pass."""

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Normalised images, float32 in channels-last order, and labels of a batch."""
        images, labels = self.images[batch.indices], self.labels[batch.indices]
        if batch.draws is not None:
            images, labels = apply_to_batch(self.transforms, images, labels, batch.draws)
        images = images.to(torch.float32, memory_format=torch.channels_last)
        return (images - self.mean) / self.deviation, labels


Step = Callable[[Batch], object]
"""One update, on a batch."""


@dataclass(frozen=True)
class TrainState:
    """A network, its optimiser, and the arithmetic that they are trained in."""

    network: nn.Module
    optimiser: Optimizer
    precision: str
    masks: Sequence[tuple[nn.Parameter, Tensor]] = ()
    """Weights of which some are pruned, and 1 where they are kept or 0, float32 of their shape."""
    execution: EagerExecution = field(default_factory=lambda: EagerExecution())
    """How the operations of updates and evaluations reach the device."""

    def update(self) -> Callable[[], object]:
        """An update of all weights by their gradients. Pruned weights stay at 0.

        The gradient is masked too, so that momentum keeps nothing of what was pruned.
        """
        bare = bare_update(self.optimiser)
        if not self.masks:
            return bare
        weights: list[Tensor] = [weight for weight, _ in self.masks]
        kept: Any = [mask for _, mask in self.masks]

        def update() -> None:
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            with torch.no_grad():
                torch._foreach_mul_(gradients, kept)
                bare()
                torch._foreach_mul_(weights, kept)

        return update

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context in which the forward pass runs. Weights and updates stay in float32."""
        dtype = DTYPES[self.precision]
        return torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)


@dataclass
class EpochProgress:
    """How far an epoch has come: batches trained on, and what was measured on the way.

    `sums` of loss, hits and examples, float64 [3], stay on the device; `seconds` is wall time.
    """

    sums: Tensor
    batches: int = 0
    seconds: float = 0.0

    @classmethod
    def begin(cls, device: torch.device) -> EpochProgress:
        """Nothing of the epoch yet."""
        return cls(no_sums(device))

    @classmethod
    def from_tensor(cls, stored: Tensor, device: torch.device) -> EpochProgress:
        """The inverse of `as_tensor`."""
        batches, seconds, *sums = stored.tolist()
        return cls(torch.tensor(sums, dtype=torch.float64, device=device), int(batches), seconds)

    def as_tensor(self) -> Tensor:
        """All of it as numbers, float64 [5], on the CPU; waits for the device."""
        return torch.tensor([self.batches, self.seconds, *self.sums.tolist()], dtype=torch.float64)


def never() -> bool:
    """To go on to the end."""
    return False


class EagerExecution:
    """Updates and evaluations operation by operation, as Python comes to them."""

    @contextmanager
    def training(self, train_state: TrainState, examples: Examples, sums: Tensor) -> Iterator[Step]:
        """What makes an update on a batch of `examples`; `sums` are right once this is left."""
        train_state.network.train()
        update = train_state.update()

        def step(batch: Batch) -> None:
            images, labels = examples.batch(batch)
            with train_state.autocast(images.device):
                logits = train_state.network(images)
            loss = cross_entropy(logits.float(), labels)
            train_state.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            update()
            add_batch(sums, loss.detach(), logits.detach(), labels)

        yield step

    def evaluation(
        self, train_state: TrainState, examples: Examples, stop: Callable[[], bool]
    ) -> Tensor | None:
        """See `evaluate`."""
        sums = no_sums(examples.images.device)
        return sums if evaluate_all(train_state, examples, sums, stop) else None


def train_on(
    train_state: TrainState,
    examples: Examples,
    batches: Iterator[Batch],
    part: EpochProgress,
    pause: Callable[[], bool] = never,
) -> bool:
    """One update for each of `batches`, added to `part`.

    `pause` is asked after each update. Returns whether the batches came to their end; where not,
    calling this again goes on.
    """
    began = time.perf_counter()
    finished = True
    with train_state.execution.training(train_state, examples, part.sums) as step:
        for batch in batches:
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
    test: Examples,
    stop: Callable[[], bool] = never,
) -> EpochMetrics | None:
    """What an epoch measured that was trained to its end, with an evaluation on `test`.

    None where `stop` said so during the evaluation, which can then be made again.
    """
    began = time.perf_counter()
    evaluated = evaluate(train_state, test, stop)
    if evaluated is None:
        return None
    # The one place in an epoch where the host waits for the device.
    sums = torch.cat([part.sums, evaluated]).tolist()
    train_loss, train_hits, trained, test_loss, test_hits, tested = sums
    return EpochMetrics(
        epoch=epoch,
        iteration=iteration,
        train_loss=train_loss / trained,
        train_accuracy=train_hits / trained,
        test_loss=test_loss / tested,
        test_accuracy=test_hits / tested,
        seconds=part.seconds + time.perf_counter() - began,
    )


def evaluate(
    train_state: TrainState, examples: Examples, stop: Callable[[], bool] = never
) -> Tensor | None:
    """The sums of loss, hits and examples over all of `examples`, in evaluation mode.

    None where `stop`, which is asked now and then, said so.
    """
    return train_state.execution.evaluation(train_state, examples, stop)


@torch.inference_mode()
def evaluate_all(
    train_state: TrainState, examples: Examples, sums: Tensor, stop: Callable[[], bool] = never
) -> bool:
    """Fill `sums` for `evaluate`; whether it came to the end: `stop` is asked after each batch."""
    sums.zero_()
    train_state.network.eval()
    for first in range(0, len(examples), EVALUATION_BATCH):
        images, labels = examples.batch(Batch(slice(first, first + EVALUATION_BATCH)))
        with train_state.autocast(images.device):
            logits = train_state.network(images)
        add_batch(sums, cross_entropy(logits.float(), labels), logits, labels)
        if stop():
            return False
    return True


def no_sums(device: torch.device) -> Tensor:
    """Sums of loss, hits and examples before there are any, float64 [3]."""
    return torch.zeros(3, dtype=torch.float64, device=device)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device had too little memory; torch and CUDA's libraries use different words."""
    words = ("out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def bare_update(optimiser: Optimizer) -> Callable[[], object]:
    """The update of `optimiser` without torch's wrappers, which load its compiler."""
    step = partial(inspect.unwrap(type(optimiser).step), optimiser)
    return torch.no_grad()(step)


def add_batch(sums: Tensor, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Add a batch with mean `loss` to `sums` of loss, hits and examples, on the device."""
    hits = (logits.argmax(dim=1) == labels).sum()
    sums[0] += loss * len(labels)
    sums[1] += hits
    sums[2] += len(labels)


def shuffled(indices: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """`indices` in a random order, in batches, int64 [steps, batch]; the last short one is dropped.

    Dropping it gives the 390 updates an epoch of Berariu et al., appendix A.2. Drawn on the CPU, so
    that it is the same on every device.
    """
    order = indices[torch.randperm(len(indices), generator=generator)]
    return order[: len(order) // batch * batch].view(-1, batch)


def mixed(
    early: Tensor, examples: int, share: Tensor, batch: int, generator: torch.Generator
) -> Tensor:
    """Batches that are drawn with replacement, int64 [steps, batch]: one for each of `share`.

    Each index is uniform over all `examples` with the probability `share`, float64 [steps], and
    uniform over `early`, int64 [n], otherwise. Drawn on the CPU, as `shuffled`.
    """
    shape = (len(share), batch)
    anywhere = torch.randint(examples, shape, generator=generator)
    inside = early[torch.randint(len(early), shape, generator=generator)]
    chance = torch.rand(shape, generator=generator, dtype=torch.float64)
    return torch.where(chance < share[:, None], anywhere, inside)


def batches_on(
    device: torch.device, indices: Tensor, draws: Tensor | None, first: int, last: int
) -> Iterator[Batch]:
    """The batches `first` to `last` of an epoch: rows of `indices` and `draws`, copied at once."""
    there = indices[first:last].to(device)
    if draws is None:
        return map(Batch, there)
    return map(Batch, there, draws[first:last].to(device))


def set_rate(optimiser: Optimizer, factor: float) -> None:
    """Set every learning rate of `optimiser` to `factor` times that which it was made with."""
    for group in optimiser.param_groups:
        group["lr"] = factor * group.setdefault("initial_lr", group["lr"])


def prepare_backends(threads: int, precision: str = "float32", *, compiles: bool = False) -> None:
    """Ask torch for the same bits on every execution, with `threads` threads on the CPU.

    Without `compiles` torch's compiler is left unloaded.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it
    # float32 means float32, not TF32, whatever the environment says.
    rounds = precision == "tfloat32"
    torch.set_float32_matmul_precision("high" if rounds else "highest")
    cudnn: Any = torch.backends.cudnn
    cudnn.allow_tf32 = rounds  # it and the next two must agree, or torch cannot read it
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "tf32" if rounds else "ieee"
    # As use_deterministic_algorithms(True), which loads the compiler to tell it as well.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False  # it may choose another algorithm in another process
    torch.set_num_threads(threads)
    if compiles:
        torch.use_deterministic_algorithms(True)  # also for what the compiler chooses among
    else:
        leave_compiler_unloaded()


def leave_compiler_unloaded() -> None:
    """Spare every job the seconds that importing torch's compiler takes.

    The first call of some methods of an optimiser imports it, only to mark them as not to be
    compiled. Nothing is compiled here, so the methods are marked with themselves. The mark is
    private to torch: where another version does not read it, the import comes back and nothing
    else changes. `bare_update` does the same for the update itself.
    """
    for method in vars(Optimizer).values():
        if (wrapped := getattr(method, "__wrapped__", None)) is not None:
            wrapped.__dynamo_disable = wrapped
