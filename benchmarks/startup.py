"""Where the seconds of a training job go before its first step and after its last one.

    python -m benchmarks.startup

A run as those of the demo, on made-up images, in a process of its own each time, started as the
workflow does but without Snakemake; beside it a process that imports torch and nothing else. The
first step includes what the device loads for it. The least of several repeats is told, of each part
by itself and of the whole: seconds of the CPU on a CPU, since other work on the machine stretches
those of the clock, and of the clock on a GPU. What is measured needs torch, numpy, pyarrow and
safetensors alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import circumstances, cost_of, tell
from benchmarks.telemetry import made_up
from plasticity.data import splits, storage
from plasticity.runs import Run

TRAIN, TEST, PIXELS = 1200, 597, 12
"""As in the demo."""


def run_of(model: str, epochs: int) -> Run:
    """A run of one stage from the beginning."""
    return Run.parse(f"digits-clutter/{model}/seed0/full_adam-lr0.002-b64_e{epochs}_init")


def measure(given: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each part of the job, one for all of it, and one for torch alone."""
    run = run_of(given.model, given.epochs)
    clock = "cpu" if given.device == "cpu" else "wall"
    precision = given.precision or ("float32" if given.device == "cpu" else "bfloat16")
    alone: list[float] = []
    jobs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = made_up(TRAIN, TEST, PIXELS)
        storage.write(data, "random", place / "train.safetensors", place / "test.safetensors")
        split = place / "split.parquet"
        splits.write(split, run.stage.data, data.train_labels, data.classes, run.seed)
        words = [given.device, precision, given.execution, clock, str(run), folder]
        # The first ones read from the disk, and compile to bytecode, what the others find.
        for _ in range(given.repeats + 1):
            cost, _ = cost_of([sys.executable, "-c", "import torch"])
            alone.append(cost.cpu_seconds if clock == "cpu" else cost.seconds)
            began = 0.0 if clock == "cpu" else time.monotonic()
            cost, told = cost_of([sys.executable, "-m", "benchmarks.startup_job", *words])
            whole = cost.cpu_seconds if clock == "cpu" else cost.seconds
            jobs.append(parts_of(json.loads(told), began, whole))
            print(jobs[-1], file=sys.stderr, flush=True)
    least = {part: min(job[part] for job in jobs[1:]) for part in jobs[0]}
    least["import torch, nothing else"] = min(alone[1:])
    return [
        {"model": given.model, "device": given.device, "part": part, "ms": round(1000 * seconds)}
        for part, seconds in least.items()
    ]


def parts_of(ends: Mapping[str, float], began: float, whole: float) -> dict[str, float]:
    """The seconds of each part, by their `ends`, of all but training, and of the `whole`."""
    parts, before = {}, began
    for part, end in ends.items():
        parts[part], before = end - before, end
    parts["exit"] = began + whole - before
    overhead = whole - parts["trained and saved"]
    return {**parts, "all but training": overhead, "all": whole}


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet-d1w8", help="as runs spell it")
    parser.add_argument("--epochs", type=int, default=1, help="of training")
    parser.add_argument("--repeats", type=int, default=5, help="the least of so many is told")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", help="float32 on a CPU, bfloat16 on a GPU")
    parser.add_argument("--execution", default="auto", help="how operations reach the device")
    parser.add_argument("--output", type=Path, help="also write the table: .md or .csv")
    return parser.parse_args(words)


def main() -> None:
    """Measure what the command line asks for, print the table and write it."""
    given = parsed(sys.argv[1:])
    tell(measure(given), circumstances("torch"), given.output)


if __name__ == "__main__":
    main()
