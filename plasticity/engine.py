"""The training loop: one epoch of updates, then an evaluation, read from the device once.

The data set lives on the device as uint8. Losses and hits add up there; nothing inside an epoch
waits for the device.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from plasticity.metrics import EpochMetrics

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
EVALUATION_BATCH = 1000
"""Test images that are evaluated at once: it bounds memory."""


@dataclass(frozen=True)
class Examples:
    """Examples on the device: images uint8 [n, c, h, w] and labels int64 [n].

    `mean` and `deviation`, float32 [1, c, 1, 1] on a scale of 0 .. 255, normalise the images.
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    deviation: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Normalised images, float32 in channels-last order, and labels at `indices`."""
        images = self.images[indices].to(torch.float32, memory_format=torch.channels_last)
        return (images - self.mean) / self.deviation, self.labels[indices]


@dataclass(frozen=True)
class Trainee:
    """A network, its optimiser, and the arithmetic that they are trained in."""

    network: nn.Module
    optimiser: Optimizer
    precision: str

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context in which the forward pass runs. Weights and updates stay in float32."""
        dtype = PRECISIONS[self.precision]
        return torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)


def run_epoch(
    trainee: Trainee, epoch: int, train: Examples, batches: Iterator[Tensor], test: Examples
) -> EpochMetrics:
    """Train on `batches` of indices into `train`, evaluate on `test`, and measure both."""
    began = time.perf_counter()
    sums = torch.cat([train_on(trainee, train, batches), evaluate(trainee, test)])
    # The one place in an epoch where the host waits for the device.
    train_loss, train_hits, trained, test_loss, test_hits, tested = sums.tolist()
    return EpochMetrics(
        epoch=epoch,
        train_loss=train_loss / trained,
        train_accuracy=train_hits / trained,
        test_loss=test_loss / tested,
        test_accuracy=test_hits / tested,
        seconds=time.perf_counter() - began,
    )


def train_on(trainee: Trainee, examples: Examples, batches: Iterator[Tensor]) -> Tensor:
    """One update for each batch of indices. Returns the sums of loss, hits and examples."""
    sums = torch.zeros(3, dtype=torch.float64, device=examples.images.device)
    update = bare_update(trainee.optimiser)
    trainee.network.train()
    for indices in batches:
        images, labels = examples.batch(indices)
        with trainee.autocast(images.device):
            logits = trainee.network(images)
        loss = cross_entropy(logits.float(), labels)
        trainee.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        update()
        add_batch(sums, loss.detach(), logits.detach(), labels)
    return sums


@torch.inference_mode()
def evaluate(trainee: Trainee, examples: Examples) -> Tensor:
    """The sums of loss, hits and examples over all of `examples`, in evaluation mode."""
    sums = torch.zeros(3, dtype=torch.float64, device=examples.images.device)
    trainee.network.eval()
    for first in range(0, len(examples), EVALUATION_BATCH):
        images, labels = examples.batch(slice(first, first + EVALUATION_BATCH))
        with trainee.autocast(images.device):
            logits = trainee.network(images)
        add_batch(sums, cross_entropy(logits.float(), labels), logits, labels)
    return sums


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


def shuffled_batches(
    indices: Tensor, batch: int, generator: torch.Generator, device: torch.device
) -> Iterator[Tensor]:
    """`indices` in a random order, in batches on `device`; the last short batch is dropped.

    Dropping it gives the 390 updates an epoch of Berariu et al., appendix A.2. The order is drawn
    on the CPU, so that it is the same on every device, and copied there once.
    """
    order = indices[torch.randperm(len(indices), generator=generator)].to(device)
    return iter(order[: len(order) // batch * batch].view(-1, batch))


def mixed_batches(
    early: Tensor,
    examples: int,
    share: Tensor,
    batch: int,
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[Tensor]:
    """Batches on `device` that are drawn with replacement, one for each value of `share`.

    Each index is uniform over all `examples` with the probability `share`, float64 [steps], and
    uniform over `early`, int64 [n], otherwise. Drawn on the CPU, as `shuffled_batches`.
    """
    shape = (len(share), batch)
    anywhere = torch.randint(examples, shape, generator=generator)
    inside = early[torch.randint(len(early), shape, generator=generator)]
    chance = torch.rand(shape, generator=generator, dtype=torch.float64)
    return iter(torch.where(chance < share[:, None], anywhere, inside).to(device))


def prepare_backends(threads: int) -> None:
    """Ask torch for the same bits on every execution, with `threads` threads on the CPU."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it
    # float32 means float32, not TF32, whatever the environment says.
    torch.set_float32_matmul_precision("highest")
    cudnn: Any = torch.backends.cudnn
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "ieee"
    # The same as use_deterministic_algorithms(True), which loads the compiler to tell it as well.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False  # it may choose another algorithm in another process
    torch.set_num_threads(threads)
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
