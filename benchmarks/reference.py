"""Training loops as a user would write them, which the engine is compared with.

The network, its initialisation, the batches' size and the optimiser are the library's; all else is
what tutorials show: images are transformed one by one in worker processes, and the loss and the
hits of each step are read from the device. The tuned loop keeps all images on the device instead,
so that one sees what comes from loading and what from the loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from benchmarks.stand import STARTING_STEPS, Bench, Epoch, wait
from plasticity.core.rng import torch_generator
from plasticity.data import storage
from plasticity.data.apply import apply_to_batch, drawn
from plasticity.data.transforms.augment import MARGIN
from plasticity.models.network import initialise
from plasticity.runs import transforms as transform_terms
from plasticity.runs.compute import Precision
from plasticity.training.backends import DTYPES
from plasticity.training.loop import EVALUATION_BATCH

Transform = Callable[[np.ndarray], Tensor]
"""An image, uint8 [h, w, c], as the network is given it: normalised, float32 [c, h, w]."""


@dataclass(frozen=True)
class Usual:
    """Torch's settings as a user finds them: the engine changes them for the whole process."""

    convolutions: str
    products: str

    @classmethod
    def now(cls) -> Self:
        """Those at present."""
        cudnn: Any = torch.backends.cudnn
        return cls(cudnn.conv.fp32_precision, torch.get_float32_matmul_precision())

    def restore(self, threads: int) -> None:
        """Put them back, with so many threads."""
        cudnn: Any = torch.backends.cudnn
        cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = self.convolutions
        torch.set_float32_matmul_precision(self.products)
        torch.set_deterministic_debug_mode("default")
        torch.backends.cudnn.benchmark = False
        torch.set_num_threads(threads)


# Images one by one


class Images(Dataset):
    """Images, uint8 [n, h, w, c], that are transformed when they are asked for."""

    def __init__(self, part: storage.DataPart, transform: Transform) -> None:
        self.images = np.ascontiguousarray(part.images.transpose(0, 2, 3, 1))
        self.labels = part.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


@dataclass(frozen=True)
class Torchvision:
    """The transforms of torchvision, on a PIL image."""

    steps: Callable[[Any], Tensor]

    @classmethod
    def of(cls, header: storage.Header, pixels: int, augmented: bool) -> Self:
        """Normalisation and, where the images are `augmented`, crops and flips before it."""
        from torchvision import transforms

        random = [transforms.RandomCrop(pixels, MARGIN), transforms.RandomHorizontalFlip()]
        usual = [transforms.ToTensor(), transforms.Normalize(header.mean, header.deviation)]
        return cls(transforms.Compose([*(random if augmented else ()), *usual]))

    def __call__(self, image: np.ndarray) -> Tensor:
        """See `Transform`."""
        from PIL import Image

        return self.steps(Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image))


@dataclass(frozen=True)
class StandIn:
    """The same image by image, where torchvision is not installed."""

    mean: Tensor
    std: Tensor
    augmented: bool

    @classmethod
    def of(cls, header: storage.Header, pixels: int, augmented: bool) -> Self:
        """See `Torchvision.of`."""
        mean, std = (
            torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            for values in (header.mean, header.deviation)
        )
        return cls(mean, std, augmented)

    def __call__(self, image: np.ndarray) -> Tensor:
        """See `Transform`."""
        if self.augmented:
            height, width, _ = image.shape
            framed = np.pad(image, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))
            top, left = (int(torch.randint(2 * MARGIN + 1, ())) for _ in range(2))
            image = framed[top : top + height, left : left + width]
            if torch.rand(()) < 0.5:
                image = image[:, ::-1]
        scaled = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).contiguous()
        return scaled.to(torch.float32).div(255).sub_(self.mean).div_(self.std)


def image_transforms() -> type[Torchvision] | type[StandIn]:
    """Those of torchvision, where it is there and fits this torch."""
    try:
        import torchvision.transforms  # noqa: F401
        from PIL import Image  # noqa: F401
    except (ImportError, RuntimeError):
        return StandIn
    return Torchvision


# Loops


class Loop:
    """A plain loop: a loader with workers, and everything read from the device at every step."""

    train: Any
    test: Any

    def __init__(
        self, bench: Bench, optimiser: str, device: torch.device, precision: Precision, workers: int
    ) -> None:
        run = bench.run(optimiser)
        self.batch = run.stage.optimiser.options["batch"]
        self.augmented = bench.augment
        self.device, self.workers = device, workers
        self.dtype = DTYPES[precision]
        train, test = storage.read(bench.inputs.train), storage.read(bench.inputs.test)
        torch.manual_seed(0)
        self.network: nn.Module = run.model(len(train.header.classes), *train.images.shape[1:])
        initialise(self.network, torch_generator(run.seed, "initialisation"))
        self.network.to(device)
        self.optimiser = as_usual(run.stage.optimiser(self.network.parameters()))
        self.load(train, test)

    def load(self, train: storage.DataPart, test: storage.DataPart) -> None:
        """Make the loaders of both parts."""
        kind, pixels = image_transforms(), train.images.shape[2]
        parts = (
            Images(train, kind.of(train.header, pixels, self.augmented)),
            Images(test, kind.of(test.header, pixels, False)),
        )
        more: dict[str, Any] = {"num_workers": self.workers}
        self.train = DataLoader(parts[0], self.batch, shuffle=True, drop_last=True, **more)
        self.test = DataLoader(parts[1], EVALUATION_BATCH, **more)

    def training_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch."""
        return iter(self.train)

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Those of an evaluation."""
        return iter(self.test)

    def start(self) -> None:
        """The first updates."""
        self.updates(islice(self.training_batches(), STARTING_STEPS))
        wait(self.device)

    def updates(self, batches: Iterator[tuple[Tensor, Tensor]]) -> int:
        """An update on each of `batches`; the number of images."""
        self.network.train()
        loss_sum, hits, count = 0.0, 0.0, 0
        for images, labels in batches:
            images, labels = images.to(self.device), labels.to(self.device)
            logits, loss = self.forward(images, labels)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            loss_sum += loss.item() * len(labels)
            hits += (logits.argmax(dim=1) == labels).sum().item()
            count += len(labels)
        return count

    def evaluate(self) -> float:
        """The share of test images that are classified right."""
        self.network.eval()
        loss_sum, hits, count = 0.0, 0.0, 0
        with torch.no_grad():
            for images, labels in self.test_batches():
                images, labels = images.to(self.device), labels.to(self.device)
                logits, loss = self.forward(images, labels)
                loss_sum += loss.item() * len(labels)
                hits += (logits.argmax(dim=1) == labels).sum().item()
                count += len(labels)
        return hits / count

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the mean loss of a batch."""
        enabled = self.dtype is not torch.float32
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=enabled):
            logits = self.network(images)
            return logits, cross_entropy(logits, labels)

    def epoch(self) -> Epoch:
        """Train and evaluate an epoch; waits for the device."""
        began = time.perf_counter()
        images = self.updates(self.training_batches())
        wait(self.device)
        trained = time.perf_counter()
        self.evaluate()
        return Epoch(images, trained - began, time.perf_counter() - trained)


class Tuned(Loop):
    """The same loop on images that lie on the device, normalised: without a loader."""

    def load(self, train: storage.DataPart, test: storage.DataPart) -> None:
        """Put both parts on the device."""
        self.train, self.test = (self.normalised(part) for part in (train, test))

    def normalised(self, part: storage.DataPart) -> tuple[Tensor, Tensor]:
        """The images of `part`, normalised, float32 [n, c, h, w], and their labels."""
        images = torch.from_numpy(part.images).to(self.device).to(torch.float32).div_(255)
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=self.device).view(1, -1, 1, 1)
            for values in (part.header.mean, part.header.deviation)
        )
        labels = torch.from_numpy(part.labels).to(self.device)
        return images.sub_(mean).div_(std), labels

    def training_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Loop`; random crops and flips are made batch by batch, on the device."""
        images, labels = self.train
        order = torch.randperm(len(labels), device=self.device)
        terms = [transform_terms.parse("augment")] if self.augmented else []
        generator = torch.default_generator
        for chosen in order[: len(order) // self.batch * self.batch].view(-1, self.batch):
            batch = images[chosen], labels[chosen]
            if terms:
                draws = drawn(terms, 1, self.batch, generator)[0].to(self.device)
                batch = apply_to_batch(terms, *batch, draws)
            yield batch

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Loop`."""
        images, labels = self.test
        return zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True)


LOOPS: dict[str, type[Loop]] = {"plain": Loop, "tuned": Tuned}


def as_usual(optimiser: Optimizer) -> Optimizer:
    """`optimiser` as torch makes it unless it is told how to carry its updates out."""
    for group in optimiser.param_groups:
        for key in ("fused", "foreach"):
            if key in group:
                group[key] = None
    return optimiser
