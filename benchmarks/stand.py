"""What the benchmarks of training share: a prepared data set, stages on it, and timed epochs."""

from __future__ import annotations

import argparse
import gc
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import torch

from benchmarks.measure import UNIT_OF_PEAK
from benchmarks.telemetry import made_up
from plasticity.data import splits, storage
from plasticity.data.raw import RawData
from plasticity.runs import OptimiserFacts, Run, Term, datasets, optimisers
from plasticity.runs.compute import PRECISIONS, Precision
from plasticity.runs.provenance import Code
from plasticity.training.hardware import Hardware
from plasticity.training.loop import EpochProgress, finish_epoch, train_on
from plasticity.training.stages import Inputs, Stage, prepare

EPOCHS = 1_000_000
"""As long as a stage may be: a benchmark never comes to its end."""

STARTING_STEPS = 2
"""Updates after which a stage has started: the first may make the optimiser's state and is then
not recorded."""

DEFAULTS: dict[str, dict[str, object]] = {
    # The paper's network on data of the size of CIFAR-10, and the demo's.
    "cuda": {
        **{"model": "resnet18", "batch": 128, "pixels": 32, "channels": 3},
        **{"train": 50_000, "test": 10_000},
    },
    "cpu": {
        **{"model": "resnet-d1w8", "batch": 64, "pixels": 12, "channels": 1},
        **{"train": 1200, "test": 597},
    },
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is trained, on what and where."""
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--model", help="as runs spell it; resnet18 on a GPU, else resnet-d1w8")
    parser.add_argument("--batch", type=int, help="images an update; 128 on a GPU, else 64")
    parser.add_argument(
        "--data",
        default="random",
        help="random, digits-clutter, or a folder with {train,test}.safetensors",
    )
    parser.add_argument("--pixels", type=int, help="height and width of a random image")
    parser.add_argument("--channels", type=int, help="colours of a random image")
    parser.add_argument("--train", type=int, help="random training images")
    parser.add_argument("--test", type=int, help="random test images")
    parser.add_argument("--augment", action="store_true", help="random crops and flips")
    parser.add_argument("--output", type=Path, help="also write the table: .md or .csv")


def complete(given: argparse.Namespace) -> argparse.Namespace:
    """Fill in what is usual on the device, where nothing else was asked for."""
    for name, usual in DEFAULTS[given.device].items():
        if getattr(given, name) is None:
            setattr(given, name, usual)
    return given


def precision_of(text: str) -> Precision:
    """`text`, where it is a precision."""
    if text not in PRECISIONS:
        raise argparse.ArgumentTypeError(f"{text!r}: expected {', '.join(PRECISIONS)}")
    return cast(Precision, text)


@dataclass(frozen=True)
class Bench:
    """A prepared data set in files, and what the runs on it have in common."""

    inputs: Inputs
    model: str
    batch: int
    augment: bool = False

    @classmethod
    def at(cls, folder: Path, given: argparse.Namespace) -> Bench:
        """The bench on what `lay_out` left in `folder`."""
        train, test = folder / "train.safetensors", folder / "test.safetensors"
        inputs = Inputs(train, test, folder / "split.parquet")
        return cls(inputs, given.model, given.batch, given.augment)

    def run(self, optimiser: str) -> Run:
        """A run from the beginning, which follows `optimiser`."""
        data = "full+augment" if self.augment else "full"
        rule = with_batch(optimiser, self.batch)
        return Run.parse(f"cifar10/{self.model}/seed0/{data}_{rule}_e{EPOCHS}_init")

    def stage(self, optimiser: str, hardware: Hardware) -> Stage:
        """The stage of that run, ready to be trained."""
        return prepare(self.run(optimiser), self.inputs, hardware, Code({}), lambda line: None)


def with_batch(optimiser: str, batch: int) -> Term[OptimiserFacts]:
    """`optimiser` with batches of that size, unless its spelling tells another one."""
    term = optimisers.read(optimiser)
    if re.search(r"-b\d", optimiser):
        return term
    return optimisers.term(term.member.name, {**term.options, "batch": batch})


@contextmanager
def laid_out(given: argparse.Namespace) -> Iterator[Path]:
    """A folder with the data set that `given` asks for, prepared and split."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        lay_out(folder, data_of(given, folder))
        yield folder


def lay_out(folder: Path, data: RawData) -> None:
    """Prepare and split `data` in `folder`."""
    storage.write(data, "benchmark", folder / "train.safetensors", folder / "test.safetensors")
    every = Run.parse("cifar10/resnet18/seed0/full_sgd-lr0.1_e1_init").stage.data
    splits.write(folder / "split.parquet", every, data.train_labels, data.classes, 0)


def data_of(given: argparse.Namespace, downloads: Path) -> RawData:
    """The data set that `given` asks for."""
    if given.data == "random":
        return made_up(given.train, given.test, given.pixels, given.channels)
    folder = Path(given.data)
    if folder.is_dir():
        return storage.read_raw(folder / "train.safetensors", folder / "test.safetensors")
    data: RawData = datasets.parse(given.data)(None, downloads)
    return data


def described(data: RawData) -> str:
    """How much there is of `data`, in words."""
    train, test = len(data.train_labels), len(data.test_labels)
    _, channels, height, width = data.train_images.shape
    return f"{train:,} + {test:,} images of {channels} x {height} x {width} ({data.source})"


# Time and memory


@dataclass(frozen=True)
class Epoch:
    """Images that were trained on in an epoch, and the seconds of training and of evaluation."""

    images: int
    training: float
    evaluation: float


def start(stage: Stage) -> None:
    """The first steps of `stage`, in which it is recorded or compiled; waits for the device."""
    batches = islice(stage.order.rest_of_epoch(0, stage.device), STARTING_STEPS)
    train_on(stage.train_state, stage.train, batches, EpochProgress.begin(stage.device))
    wait(stage.device)


def epoch(stage: Stage, number: int) -> Epoch:
    """Train and evaluate epoch `number`, which counts from 0, as jobs do; waits for the device."""
    train_state, done = stage.train_state, number * stage.steps.per_epoch
    part = EpochProgress.begin(stage.device)
    began = time.perf_counter()
    train_on(train_state, stage.train, stage.batches(done), part)
    wait(stage.device)
    trained = time.perf_counter()
    finish_epoch(train_state, number + 1, done + part.batches, part, stage.test)
    images = part.batches * stage.run.stage.optimiser.options["batch"]
    return Epoch(images, trained - began, time.perf_counter() - trained)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


class Memory:
    """The most memory at once from here on, in units of 1e6 bytes.

    On a GPU that of tensors, less what was there already; else the whole process's.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0
        gc.collect()
        if device.type == "cuda":
            wait(device)
            self._before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        else:
            forget_peak()

    def peak(self) -> float:
        """So much until now."""
        if self._device.type == "cuda":
            return (torch.cuda.max_memory_allocated() - self._before) / 1e6
        return peak_of_process()


def forget_peak() -> None:
    """Let the peak of this process's memory begin anew, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        print("the peak of memory is that since the process began", file=sys.stderr)


def peak_of_process() -> float:
    """The most memory that this process had, in units of 1e6 bytes."""
    try:
        told = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        told = ""
    if found := re.search(r"^VmHWM:\s*(\d+) kB", told, re.MULTILINE):
        return int(found[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT_OF_PEAK / 1e6


def first_line(error: BaseException) -> str:
    """What `error` says, in a line."""
    lines: Sequence[str] = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
