"""Everything that is worth measuring on a device, in one command and in less than ten minutes.

    python -m benchmarks.all --device cuda --output DIR

Each part is a process of its own that writes a table into the folder; what it printed is beside it
as text. One that fails, or is out of time, does not keep the others from running; the command then
ends with 1. The most wanted come first: once the time is used up the last ones are left out.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import ROOT, markdown

LEAST = 5.0
"""Seconds that a part must have left to be begun."""

BATCHES = {"cuda": (200, 40), "cpu": (19, 9)}
"""Batches to train and to test on: as few as an epoch of which the figures can be trusted has."""

GPU_TESTS = ROOT / "tests" / "training" / "test_gpu.py"

ABOUT = """
import platform, torch
print("Python", platform.python_version(), "on", platform.platform())
print("torch", torch.__version__, "for CUDA", torch.version.cuda)
if torch.cuda.is_available():
    print("cuDNN", torch.backends.cudnn.version())
    print(torch.cuda.get_device_properties(0))
for name in ("torchvision", "triton", "numpy", "pyarrow", "pandas", "safetensors"):
    try:
        print(name, __import__("importlib.metadata", fromlist=["version"]).version(name))
    except Exception:
        print(name, "is not installed")
"""


@dataclass(frozen=True)
class Part:
    """A command, and the most seconds that it may take.

    Where it writes a table itself, it is told where by ``--output``. `missing` says what keeps it
    from running.
    """

    name: str
    command: Sequence[str]
    limit: float
    writes: bool = True
    missing: str = ""


def parts_of(given: argparse.Namespace) -> Iterator[Part]:
    """All parts, the most wanted first."""
    cuda = given.device == "cuda"
    device = ["--device", given.device]
    python = [sys.executable, "-m"]
    yield Part("machine", [sys.executable, "-c", ABOUT], 60, writes=False)
    yield Part("nvidia-smi", ["nvidia-smi"], 30, writes=False, missing="" if cuda else "no GPU")
    sizes = sizes_of(given.device, quick=given.quick)
    both = ["--reference-precisions", "float32", "bfloat16"] if cuda else []
    training = [*python, "benchmarks.training", *device, *sizes, *both]
    modes = ["eager", "graph"] if cuda else ["eager"]
    short = ["--seconds", "0.2" if given.quick else "1.5", "--repeats", "2"]
    yield Part("training", [*training, *short, "--modes", *modes, "--free"], 200)
    yield Part("packing", [*python, "benchmarks.packing", *device, *sizes, *packed(given)], 180)
    every = ["adam-lr0.001", "rmsprop-lr0.001", "sgd-lr0.1", "sgd-lr0.1-m0.9"]
    precision = ["--precisions", "bfloat16" if cuda else "float32"]
    optimisers = [*training, *short, *precision, "--modes", *modes, "--optimiser", *every]
    # Loading is the same for all of them.
    yield Part("optimisers", [*optimisers, "--reference", "tuned", "--steps", "0"], 120)
    yield tests(given.device)
    compiled = [*training, *short, *precision, "--modes", modes[-1], "compiled"]
    missing = "compiling takes minutes on a CPU" if not cuda else ""
    compiled += ["--reference", "tuned"]
    yield Part("compiled", compiled, 150, missing=missing)
    iterations = ["--iterations", "10" if given.quick else "400", "--repeats", "1"]
    paper = ["--model", "resnet18", "--pixels", "32", "--batch", "128", "--precision", "bfloat16"]
    telemetry = [*python, "benchmarks.telemetry", *device, *iterations, *(paper if cuda else [])]
    yield Part("telemetry", telemetry, 60)
    yield Part("startup", [*python, "benchmarks.startup", *device], 90)


def sizes_of(device: str, *, quick: bool) -> list[str]:
    """How much is trained on: the usual network and batch, with few batches an epoch."""
    if quick:
        few = {"--model": "resnet-d1w2", "--batch": 8, "--pixels": 8, "--train": 32, "--test": 16}
        return [str(word) for pair in few.items() for word in pair]
    batch = 128 if device == "cuda" else 64
    train, test = (number * batch for number in BATCHES[device])
    return ["--train", str(train), "--test", str(test)]


def packed(given: argparse.Namespace) -> list[str]:
    """What is put together on a device."""
    seconds = ["--seconds", "0.2" if given.quick else "3"]
    if given.device == "cuda":
        return [*seconds, "--runs", "1", "2", "4", "--mps", "--way", "processes", "streams"]
    return [*seconds, "--runs", "1", "2", "--threads", "1"]


def tests(device: str) -> Part:
    """The tests that need a GPU."""
    missing = "" if find_spec("pytest") else "pytest is not installed"
    missing = "no GPU" if device != "cuda" else missing
    # Without the fixtures of all tests, which need more than is installed on a bare machine.
    options = ["-q", "--noconftest", "--durations=5", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, str(GPU_TESTS)]
    return Part("tests", command, 240, writes=False, missing=missing)


def carry_out(part: Part, folder: Path, left: float) -> dict[str, object]:
    """Run `part` in at most the seconds that are `left`; a row on how it went."""
    if part.missing:
        return {"part": part.name, "outcome": f"left out: {part.missing}", "seconds": 0.0}
    if left < LEAST:
        return {"part": part.name, "outcome": "failed: no time is left", "seconds": 0.0}
    table = folder / f"{part.name}.md"
    command = [*part.command, *(["--output", str(table)] if part.writes else [])]
    began, limit = time.perf_counter(), min(part.limit, round(left))
    try:
        with open(folder / f"{part.name}.txt", "w", encoding="utf-8") as said:
            code = code_of(command, said.fileno(), limit)
        outcome = "done" if code == 0 else f"failed: ended with {code}"
    except OSError as error:
        outcome = f"failed: {error}"
    except subprocess.TimeoutExpired:
        outcome = f"failed: not done in {limit:g} s"
    return {"part": part.name, "outcome": outcome, "seconds": time.perf_counter() - began}


def code_of(command: Sequence[str], said: int, limit: float) -> int:
    """The exit status of `command`; it and all that it started are ended after `limit` seconds."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return process.wait(limit)
    finally:
        if process.poll() is None:
            # Politely first, so that it ends what it started: MPS is no child of it any more.
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(LEAST)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def main(words: Sequence[str] | None = None) -> None:
    """Carry out all parts, or those that are asked for, and tell how they went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--output", type=Path, required=True, help="a folder for tables")
    parser.add_argument("--minutes", type=float, default=9.5, help="the most that all may take")
    parser.add_argument("--only", nargs="+", help="these parts alone")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the command")
    given = parser.parse_args(words)
    parts = list(parts_of(given))
    if unknown := set(given.only or ()) - {part.name for part in parts}:
        parser.error(f"--only {unknown.pop()}: expected {', '.join(part.name for part in parts)}")
    folder = given.output.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    until = time.perf_counter() + 60 * given.minutes
    rows = []
    for part in (part for part in parts if not given.only or part.name in given.only):
        rows.append(carry_out(part, folder, until - time.perf_counter()))
        told = "{part}: {outcome}, {seconds:.0f} s".format_map(rows[-1])
        print(told, file=sys.stderr, flush=True)
        (folder / "README.md").write_text(markdown(rows) + "\n", encoding="utf-8")
    print(markdown(rows))
    if any(str(row["outcome"]).startswith("failed") for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
