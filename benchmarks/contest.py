"""Loops and modes of the engine that train in turns, and a table of how fast they were."""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from benchmarks.reference import LOOPS, Loop, Usual
from benchmarks.stand import Bench, Epoch, Memory, epoch, first_line, start
from plasticity.runs.compute import Execution, Precision
from plasticity.training.backends import prepare_backends
from plasticity.training.hardware import Hardware
from plasticity.training.stages import Stage

UNKNOWN = "-"


class Contestant(Protocol):
    """Something that trains: a loop or a mode of the engine."""

    @property
    def what(self) -> str:
        """What the table calls it."""
        ...

    @property
    def precision(self) -> Precision:
        """What it computes in."""
        ...

    def start(self) -> None:
        """Everything up to the first updates."""
        ...

    def epoch(self) -> Epoch:
        """Train and evaluate an epoch."""
        ...


@dataclass
class Reference:
    """A loop as a user would write it, with torch's settings as a user finds them."""

    bench: Bench
    optimiser: str
    name: str
    precision: Precision
    given: argparse.Namespace
    usual: Usual
    loop: Loop | None = None

    @property
    def what(self) -> str:
        """See `Contestant`."""
        return "reference loop" + ("" if self.name == "plain" else f", {self.name}")

    def start(self) -> None:
        """See `Contestant`."""
        self.usual.restore(self.given.threads)
        device, workers = torch.device(self.given.device), self.given.workers
        make = LOOPS[self.name]
        self.loop = make(self.bench, self.optimiser, device, self.precision, workers)
        self.loop.start()

    def epoch(self) -> Epoch:
        """See `Contestant`."""
        self.usual.restore(self.given.threads)
        assert self.loop is not None
        return self.loop.epoch()


@dataclass
class Engine:
    """A mode of the engine, with deterministic algorithms or free to take any."""

    bench: Bench
    optimiser: str
    hardware: Hardware
    free: bool = False
    epochs: int = 0
    stage: Stage | None = None

    @property
    def what(self) -> str:
        """See `Contestant`."""
        return self.hardware.carried_out + (", free" if self.free else "")

    @property
    def precision(self) -> Precision:
        """See `Contestant`."""
        return self.hardware.precision

    def start(self) -> None:
        """See `Contestant`."""
        start(self.fresh())

    def epoch(self) -> Epoch:
        """See `Contestant`."""
        assert self.stage is not None
        self.settings()
        self.epochs += 1
        return epoch(self.stage, self.epochs)

    def fresh(self) -> Stage:
        """Its stage as it begins."""
        self.stage = self.bench.stage(self.optimiser, self.hardware)
        self.settings()
        return self.stage

    def settings(self) -> None:
        """Torch's settings for this mode: another one may have been at work."""
        compiles = self.hardware.carried_out == "compiled"
        prepare_backends(self.hardware.threads, self.precision, compiles=compiles)
        if self.free:
            if compiles:
                torch.use_deterministic_algorithms(False)
            torch.set_deterministic_debug_mode("default")
            torch.backends.cudnn.benchmark = True


# What is measured


@dataclass
class Measured:
    """All that is known of a contestant."""

    contestant: Contestant
    started: float = 0.0
    memory: float = 0.0
    turns: list[list[Epoch]] = field(default_factory=list)
    failure: str = ""

    def rates(self) -> list[float]:
        """Images a second of training, turn by turn."""
        return [rate_of(turn) for turn in self.turns]

    def evaluation(self) -> float:
        """The share of an epoch that evaluation takes, by the least of both."""
        epochs = [one for turn in self.turns for one in turn]
        training = min(one.training for one in epochs)
        evaluation = min(one.evaluation for one in epochs)
        return evaluation / (training + evaluation)


def rate_of(turn: Sequence[Epoch]) -> float:
    """Images a second of training in `turn`."""
    return sum(one.images for one in turn) / sum(one.training for one in turn)


def contest(contestants: Sequence[Contestant], given: argparse.Namespace) -> list[Measured]:
    """Start all `contestants`, and then let them train in turns."""
    device = torch.device(given.device)
    measured = [Measured(contestant) for contestant in contestants]
    for one in measured:
        try:
            memory, began = Memory(device), time.perf_counter()
            one.contestant.start()
            one.started = time.perf_counter() - began
            one.contestant.epoch()
            one.memory = memory.peak()
        except Exception as error:
            one.failure = first_line(error)
        progress(one, f"started in {one.started:.2f} s")
    for _ in range(given.repeats):
        for one in (one for one in measured if not one.failure):
            try:
                one.turns.append(list(turn(one.contestant, given.seconds)))
            except Exception as error:
                one.failure = first_line(error)
                continue
            progress(one, f"{rate_of(one.turns[-1]):,.0f} images/s")
    return measured


def turn(contestant: Contestant, seconds: float) -> Iterator[Epoch]:
    """Whole epochs that last at least so many seconds together."""
    spent = 0.0
    while spent < seconds or not spent:
        done = contestant.epoch()
        spent += done.training + done.evaluation
        yield done


def progress(one: Measured, news: str) -> None:
    """A line on the way."""
    contestant = one.contestant
    news = one.failure or news
    print(f"{contestant.what}, {contestant.precision}: {news}", file=sys.stderr, flush=True)


def contestants_of(
    bench: Bench, optimiser: str, given: argparse.Namespace, usual: Usual, cache: Path
) -> list[Contestant]:
    """All that compete with `optimiser`; the reference loops come first."""
    references: list[Contestant] = [
        Reference(bench, optimiser, name, precision, given, usual)
        for name in given.reference
        for precision in given.reference_precisions
    ]
    return [*references, *engines_of(bench, optimiser, given, cache)]


def engines_of(
    bench: Bench, optimiser: str, given: argparse.Namespace, cache: Path
) -> list[Engine]:
    """All modes of the engine that are asked for, in all precisions, then those that are free."""
    ways = [*((mode, False) for mode in given.modes), *((mode, True) for mode in given.free)]
    return [
        Engine(bench, optimiser, hardware_of(given, precision, mode, cache), free)
        for mode, free in ways
        for precision in given.precisions
    ]


def hardware_of(
    given: argparse.Namespace,
    precision: Precision,
    mode: Execution = "eager",
    cache: Path | None = None,
) -> Hardware:
    """The hardware on which the engine works in `mode`."""
    return Hardware(given.device, precision, given.threads, execution=mode, cache=cache)


def rows_of(
    measured: Sequence[Measured], optimiser: str, bound: float | None
) -> list[dict[str, object]]:
    """A row for each contestant, beside the first one: the plain loop, where that is asked for."""
    first = max(measured[0].rates(), default=0.0)
    rows: list[dict[str, object]] = []
    for one in measured:
        rates, done = one.rates(), bool(one.turns) and not one.failure
        best = max(rates, default=0.0)
        rows.append(
            {
                "what": one.contestant.what,
                "precision": one.contestant.precision,
                "optimiser": optimiser,
                "images/s": round(best) if done else UNKNOWN,
                "median (images/s)": round(statistics.median(rates)) if done else UNKNOWN,
                "ratio": best / first if done and first else UNKNOWN,
                "evaluation (% of an epoch)": 100 * one.evaluation() if done else UNKNOWN,
                "of the bound (%)": 100 * best / bound if done and bound else UNKNOWN,
                "peak memory (MB)": round(one.memory) if done else UNKNOWN,
                "start-up (s)": one.started if done else UNKNOWN,
            }
        )
    return rows


def let_go(measured: Sequence[Measured]) -> None:
    """Free what `measured` holds on the device."""
    for one in measured:
        if isinstance(one.contestant, Engine):
            one.contestant.stage = None
        elif isinstance(one.contestant, Reference):
            one.contestant.loop = None
    clear()


def clear() -> None:
    """Free what nobody holds any longer."""
    gc.collect()
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
