"""What several runs on one device gain over one after the other: each trains whole epochs.

    python -m benchmarks.packing --threads 1 2
    python -m benchmarks.packing --device cuda --runs 1 2 3 4 --mps --way processes streams

Processes start together after each has warmed up, and go on until all have trained for the asked
time, so that none is measured while it is alone. Images are those trained on; the time is that of
whole epochs, with their evaluations. `streams` are runs in one process: a CUDA graph each, replayed
in turns, each on a stream of its own. Memory on a GPU is all that is in use on it, else that of
the processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.measure import ROOT, circumstances, tell
from benchmarks.mps import Environment, mps
from benchmarks.stand import (
    Bench,
    add_options,
    complete,
    described,
    epoch,
    laid_out,
    peak_of_process,
    precision_of,
    start,
    wait,
)
from plasticity.data import storage
from plasticity.runs.compute import EXECUTIONS
from plasticity.training.hardware import Hardware
from plasticity.training.loop import EpochProgress, evaluate
from plasticity.training.stages import Stage

LOOK = 0.002
"""Seconds between two looks at what the others have done."""

UNKNOWN = "-"


# A process that trains, and how it meets the others


@dataclass(frozen=True)
class Meeting:
    """A folder in which processes agree when to begin and when to end, and tell what they did.

    Times are those of the system's steady clock, which all processes share.
    """

    folder: Path

    def ready(self, number: int) -> Path:
        """What process `number` leaves when it has warmed up."""
        return self.folder / f"ready{number}"

    def epochs(self, number: int) -> Path:
        """A line for each epoch that it has trained since: when it ended, and its images."""
        return self.folder / f"epochs{number}"

    def about(self, number: int) -> Path:
        """Its memory and its device."""
        return self.folder / f"about{number}"

    @property
    def go(self) -> Path:
        """What lets all begin."""
        return self.folder / "go"

    @property
    def stop(self) -> Path:
        """What lets all end, each after the epoch that it is at."""
        return self.folder / "stop"

    def ends(self, number: int) -> list[tuple[float, int]]:
        """When each epoch of process `number` ended, and its images."""
        path = self.epochs(number)
        lines = path.read_text(encoding="ascii").split("\n")[:-1] if path.exists() else []
        return [(float(end), int(images)) for end, images in map(str.split, lines)]


def take_part(given: argparse.Namespace) -> None:
    """Train as one of several processes until all are done."""
    meeting, number = Meeting(given.meeting), given.number
    [threads] = given.threads
    hardware = Hardware(
        given.device, given.precision, threads, given.slots, given.mode, given.meeting / "compiled"
    )
    bench = Bench.at(given.at, given)
    stages = [bench.stage(given.optimiser, hardware) for _ in range(given.stages)]
    streams = streams_on(stages[0].device, len(stages))
    for stage, stream in zip(stages, streams, strict=True):
        with stream():
            start(stage)
            epoch(stage, 0)
    meeting.ready(number).touch()
    while not meeting.go.exists():
        time.sleep(LOOK)
    done = 0
    with open(meeting.epochs(number), "w", encoding="ascii") as ends:
        while not meeting.stop.exists():
            done += 1
            images = (
                epoch(stages[0], done).images
                if len(stages) == 1
                else in_turns(stages, streams, done)
            )
            print(time.monotonic(), images, file=ends, flush=True)
            if done == 1:  # while the others are there as well
                told = {"memory": memory_of(stages[0].device), "name": hardware.name}
                meeting.about(number).write_text(json.dumps(told), encoding="utf-8")


Stream = Callable[[], AbstractContextManager[object]]
"""The context in which work goes to a stream."""


def streams_on(device: torch.device, count: int) -> list[Stream]:
    """So many streams on `device`; that which is used anyway where there is one."""
    if device.type != "cuda" or count == 1:
        return [nullcontext] * count
    return [partial(torch.cuda.stream, torch.cuda.Stream(device)) for _ in range(count)]


def in_turns(stages: Sequence[Stage], streams: Sequence[Stream], number: int) -> int:
    """An epoch of all `stages`, an update of each in turn; the number of images.

    The host waits for the device before it leaves the updates, where sums are copied, and after
    the evaluations.
    """
    device, images = stages[0].device, 0
    with ExitStack() as updates:
        steps, batches = [], []
        for stage, stream in zip(stages, streams, strict=True):
            with stream():
                sums = EpochProgress.begin(device).sums
                training = stage.train_state.execution.training(
                    stage.train_state, stage.train, sums
                )
                steps.append(updates.enter_context(training))
                done = number * stage.steps.per_epoch
                batches.append(stage.order.rest_of_epoch(done, stage.device))
        for turn in zip(*batches, strict=True):
            for stream, step, batch in zip(streams, steps, turn, strict=True):
                with stream():
                    step(batch)
                images += len(batch.indices)
        wait(device)
    for stage, stream in zip(stages, streams, strict=True):
        with stream():
            evaluate(stage.train_state, stage.test)
    wait(device)
    return images


def memory_of(device: torch.device) -> float:
    """The memory in use on a GPU, or that of this process, in units of 1e6 bytes."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        return (total - free) / 1e6
    return peak_of_process()


# All of them


@dataclass(frozen=True)
class Together:
    """What several runs did at once: images a second of all, memory, and the device's name."""

    rate: float
    memory: float
    name: str


def together(
    data: Path, given: argparse.Namespace, way: str, runs: int, threads: int, more: Environment
) -> Together:
    """Train so many runs at once; raises `RuntimeError` with what a process said that failed."""
    processes = 1 if way == "streams" else runs
    with ExitStack() as ended:
        folder = ended.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        meeting = Meeting(Path(folder))
        children = []
        for number in range(processes):
            words = {
                "--meeting": meeting.folder,
                "--at": data,
                "--number": number,
                "--slots": processes,
                "--stages": runs // processes,
                "--threads": threads,
            }
            command = [sys.executable, "-m", "benchmarks.packing", *given.words]
            command += [str(word) for pair in words.items() for word in pair]
            said = ended.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            environment = {**os.environ, **more}
            child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
            ended.callback(end, child)
            children.append((child, said))

        def all_have(reached: Callable[[int], object]) -> None:
            while not all(reached(number) for number in range(processes)):
                for child, said in children:
                    if child.poll() is not None:
                        said.seek(0)
                        lines = said.read().strip().splitlines() or [str(child.returncode)]
                        raise RuntimeError(f"a run ended: {lines[-1]}")
                time.sleep(LOOK)

        all_have(lambda number: meeting.ready(number).exists())
        began = time.monotonic()
        meeting.go.touch()
        until = began + given.seconds
        all_have(lambda number: any(at >= until for at, _ in meeting.ends(number)))
        meeting.stop.touch()
        for child, _ in children:
            child.wait()
        ends = [meeting.ends(number) for number in range(processes)]
        # Until then all were at work.
        until = min(one[-1][0] for one in ends)
        images = sum(images_until(until, began, one) for one in ends)
        told = [json.loads(meeting.about(number).read_text()) for number in range(processes)]
    memories = [one["memory"] for one in told]
    memory = max(memories) if given.device == "cuda" else sum(memories)
    return Together(images / (until - began), memory, told[0]["name"])


def end(child: subprocess.Popen[bytes]) -> None:
    """End a process that has not ended by itself."""
    if child.poll() is None:
        child.kill()
        child.wait()


def images_until(until: float, began: float, ends: Sequence[tuple[float, int]]) -> float:
    """The images that were trained on `until` then, by `ends` of epochs and in proportion."""
    images = 0.0
    for at, count in ends:
        if at > until:
            return images + count * (until - began) / (at - began)
        images, began = images + count, at
    return images


# The command


def measure(given: argparse.Namespace) -> tuple[list[dict[str, object]], str, list[str]]:
    """The rows, what stands above them, and what went wrong; lacking MPS is not wrong."""
    rows: list[dict[str, object]] = []
    troubles: list[str] = []
    without = ""
    with laid_out(given) as data:
        raw = storage.read_raw(data / "train.safetensors", data / "test.safetensors")
        rows += rows_with(data, given, {}, troubles)
        if given.mps:
            try:
                with mps() as ours:
                    rows += rows_with(data, given, ours, troubles)
            except RuntimeError as error:
                without = f"\nNot measured: MPS: {error}"
        about = described(raw)
    carried_out = Hardware(given.device, given.precision, execution=given.mode).carried_out
    names = {str(row.pop("device")) for row in rows}
    where = (
        f"{circumstances('torch', 'numpy')}; {', '.join(sorted(names))}.\n"
        f"{given.model}, {given.optimiser}, batches of {given.batch}, {given.precision}, "
        f"{carried_out}; {about}; best of {given.repeats} repeats of at least {given.seconds:g} s."
        f"{without}"
    )
    return rows, where, troubles


def rows_with(
    data: Path, given: argparse.Namespace, more: Environment, troubles: list[str]
) -> list[dict[str, object]]:
    """A row for each number of runs, way and number of threads, with `more` variables set."""
    rows: list[dict[str, object]] = []
    # Several streams need no service that lets processes share a GPU.
    ways = [way for way in given.way if not (more and way == "streams")]
    for way, threads in ((way, threads) for way in ways for threads in given.threads):
        alone = None
        for runs in given.runs:
            settings = f"{way}, {runs} at once, {threads} threads" + (", MPS" if more else "")
            try:
                done = [
                    together(data, given, way, runs, threads, more) for _ in range(given.repeats)
                ]
            except RuntimeError as error:
                troubles.append(f"{settings}: {error}")
                continue
            best = max(done, key=lambda one: one.rate)
            print(f"{settings}: {best.rate:,.0f} images/s", file=sys.stderr, flush=True)
            alone = best.rate if runs == 1 else alone
            rows.append(
                {
                    "way": way,
                    "MPS": "yes" if more else "no",
                    "threads": threads,
                    "runs": runs,
                    "images/s": round(best.rate),
                    "images/s of a run": round(best.rate / runs),
                    "gain": best.rate / alone if alone else UNKNOWN,
                    "memory (MB)": round(best.memory),
                    "device": best.name,
                }
            )
    return rows


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 2, 3, 4], help="so many at once")
    parser.add_argument("--way", nargs="+", choices=["processes", "streams"], default=["processes"])
    parser.add_argument("--mps", action="store_true", help="also with NVIDIA's MPS, started here")
    parser.add_argument("--mode", choices=EXECUTIONS, default="auto", help="of the engine")
    parser.add_argument("--precision", type=precision_of, help="bfloat16 on a GPU, else float32")
    parser.add_argument("--optimiser", default="sgd-lr0.1-m0.9", help="as runs spell it")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="of a process")
    parser.add_argument("--seconds", type=float, default=5.0, help="the least that is measured")
    parser.add_argument("--repeats", type=int, default=1, help="the best of so many is told")
    for name, kind in (("number", int), ("slots", int), ("stages", int), ("meeting", Path)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    given = complete(parser.parse_args(words))
    given.precision = given.precision or ("bfloat16" if given.device == "cuda" else "float32")
    if given.device != "cuda" and (given.mps or "streams" in given.way):
        parser.error("--mps and --way streams need --device cuda")
    given.words = list(words)
    return given


def main(words: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, print the table and write it."""
    given = parsed(sys.argv[1:] if words is None else words)
    if given.meeting:  # one of the processes that are measured
        take_part(given)
        return
    rows, where, troubles = measure(given)
    below = "\n\n".join(f"Not measured: {trouble}" for trouble in troubles)
    if rows:
        tell(rows, where, given.output, below)
    else:
        print(below)
    if troubles:
        sys.exit(1)


if __name__ == "__main__":
    main()
