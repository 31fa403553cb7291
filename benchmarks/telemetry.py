"""What measuring the first iterations of a stage costs beside training them.

    python -m benchmarks.telemetry --model resnet-d1w16 --pixels 16 --iterations 1000

The same stage on made-up images, in turns: trained alone, observed without evaluations, observed
with them; by the default cadence, but for the number of iterations. Seconds are those of the CPU on
a CPU, since other work on the machine stretches those of the clock, and of the clock on a GPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import circumstances, tell
from plasticity.data import splits, storage
from plasticity.data.raw import RawData
from plasticity.observe import telemetry
from plasticity.runs import Run
from plasticity.runs.cadence import Cadence
from plasticity.runs.compute import PRECISIONS
from plasticity.runs.provenance import Code
from plasticity.training.hardware import Hardware
from plasticity.training.loop import evaluate
from plasticity.training.stages import Inputs, Stage, prepare

CLASSES = 10
TESTED = 10_000 / (4000 * 128)
"""Test images for each image trained on, in 4,000 iterations of CIFAR-10 with batches of 128."""


def made_up(train: int, test: int, pixels: int, channels: int = 3) -> RawData:
    """So many random images, in three colours or in grey."""
    generator = np.random.default_rng(0)

    def images(count: int) -> np.ndarray:
        return generator.integers(0, 256, (count, channels, pixels, pixels), dtype=np.uint8)

    names = [str(number) for number in range(CLASSES)]
    labels = (np.arange(count) % CLASSES for count in (train, test))
    return RawData(images(train), next(labels), images(test), next(labels), names, "random numbers")


def run_of(model: str, batch: int, epochs: int) -> Run:
    """A run of one stage from the beginning."""
    size = "" if batch == 128 else f"-b{batch}"
    return Run.parse(f"cifar10/{model}/seed0/full_sgd-lr0.01-m0.9{size}_e{epochs}_init")


def measure(given: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each way to go through the same iterations: the least seconds of all repeats."""
    test = given.test or max(1, round(TESTED * given.iterations * given.batch))
    epochs = -(-given.iterations // (given.train // given.batch))
    run = run_of(given.model, given.batch, epochs)
    hardware = Hardware(given.device, given.precision, given.threads)
    cadence = Cadence(given.iterations)
    looks, evaluations = len(cadence.observed()), len(cadence.evaluated())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        parts = place / "train.safetensors", place / "test.safetensors"
        data = made_up(given.train, test, given.pixels)
        storage.write(data, "random", *parts)
        splits.write(
            place / "split.parquet", run.stage.data, data.train_labels, data.classes, run.seed
        )

        def stage() -> Stage:
            inputs = Inputs(*parts, place / "split.parquet")
            return prepare(run, inputs, hardware, Code({}), lambda line: None)

        def plain(stage: Stage) -> None:
            list(telemetry.iterations(stage, [given.iterations]))
            # Reading a weight waits for the device.
            next(stage.train_state.network.parameters()).sum().item()

        final = stage().train_state.network.state_dict()  # any will do

        def observed(stage: Stage) -> None:
            telemetry.observe(stage, final, cadence, lambda line: None)

        ways: dict[str, tuple[Callable[[Stage], Stage], Callable[[Stage], None]]] = {
            "training alone": (hardly_tested, plain),
            f"with {looks} observations": (hardly_tested, observed),
            f"and with {evaluations} evaluations of {test:,} images": (warmed_up, observed),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        clock = time.process_time if given.device == "cpu" else time.perf_counter
        # What comes first loads kernels and takes memory.
        list(telemetry.iterations(stage(), [min(given.iterations, 10)]))
        for _ in range(given.repeats):
            for way, (ready, go) in ways.items():
                fresh = ready(stage())
                began = clock()
                go(fresh)
                seconds[way].append(clock() - began)
                print(way, seconds[way][-1], file=sys.stderr, flush=True)
    # What else runs on a machine makes it slower, never faster.
    least = {way: min(taken) for way, taken in seconds.items()}
    alone = least["training alone"]
    return [
        {
            "model": given.model,
            "batch": given.batch,
            "iterations": given.iterations,
            "way": way,
            "seconds": taken,
            "ms an iteration": 1000 * taken / given.iterations,
            "of training alone (%)": 100 * taken / alone,
        }
        for way, taken in least.items()
    ]


def hardly_tested(stage: Stage) -> Stage:
    """`stage` with one test example, which costs next to nothing to evaluate."""
    test = replace(stage.test, images=stage.test.images[:1], labels=stage.test.labels[:1])
    return warmed_up(replace(stage, test=test))


def warmed_up(stage: Stage) -> Stage:
    """`stage`, evaluated once: where evaluations are recorded, that is done then."""
    evaluate(stage.train_state, stage.test)
    return stage


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet-d1w16", help="as runs spell it")
    parser.add_argument("--pixels", type=int, default=16, help="height and width of an image")
    parser.add_argument("--train", type=int, default=5000, help="training images")
    parser.add_argument("--test", type=int, help="test images; as many in proportion as CIFAR-10")
    parser.add_argument("--iterations", type=int, default=1000, help="updates that are observed")
    parser.add_argument("--batch", type=int, default=32, help="images an update")
    parser.add_argument("--repeats", type=int, default=2, help="the least of so many is told")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="float32", choices=PRECISIONS)
    parser.add_argument("--threads", type=int, default=1, help="threads on the CPU")
    parser.add_argument("--output", type=Path, help="also write the table: .md or .csv")
    return parser.parse_args(words)


def main() -> None:
    """Measure what the command line asks for, print the table and write it."""
    given = parsed(sys.argv[1:])
    tell(measure(given), circumstances("torch"), given.output)


if __name__ == "__main__":
    main()
