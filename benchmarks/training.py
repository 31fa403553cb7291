"""How fast the engine trains, in each of its modes, beside a loop as a user would write it.

    python -m benchmarks.training
    python -m benchmarks.training --device cuda --modes eager graph compiled --free eager graph
    python -m benchmarks.training --optimiser adam-lr0.001 rmsprop-lr0.001 sgd-lr0.1 sgd-lr0.1-m0.9

Everything in one process and in turns, after a start and an epoch to warm up. Images a second are
those of training alone; what else runs on a machine makes it slower, never faster, so that the
best repeat counts. The start is that of a mode, from reading the data to the end of its second
update, with recording and compiling, but without what the process loads once: torch, the device,
kernels. Memory is that of tensors on a GPU, else the whole process's without its workers.

Below the table: whether the same updates made twice end in the same bits, and how far modes and
precisions are apart after some updates.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice, product
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from benchmarks.measure import circumstances, markdown, tell
from benchmarks.reference import LOOPS, Loop, Torchvision, Usual, transforms
from benchmarks.stand import (
    Bench,
    Epoch,
    Memory,
    add_options,
    complete,
    described,
    epoch,
    first_line,
    laid_out,
    lay_out,
    precision_of,
    start,
)
from plasticity.core.errors import UserError
from plasticity.data import storage
from plasticity.data.raw import RawData
from plasticity.observe.calibration import network_cost
from plasticity.runs.compute import EXECUTIONS
from plasticity.runs.workload import Workload
from plasticity.training.backends import prepare_backends
from plasticity.training.hardware import Hardware
from plasticity.training.loop import EpochProgress, train_on
from plasticity.training.stages import Stage

PASSES = 15
"""How often a step goes over the outputs of all convolutions, where normalisation, activation and
shortcut are passes of their own: five times forward and ten times backward."""

PEAKS = {"H200": (790.0, 4.3)}
"""TFLOP/s in bfloat16 and TB/s of memory, as measured, by a part of the device's name."""

UNKNOWN = "-"


class Contestant(Protocol):
    """Something that trains: a loop or a mode of the engine."""

    @property
    def what(self) -> str:
        """What the table calls it."""
        ...

    @property
    def precision(self) -> str:
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
    precision: str
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
    def precision(self) -> str:
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
    given: argparse.Namespace, precision: str, mode: str = "eager", cache: Path | None = None
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


# The bound


def bound_of(bench: Bench, given: argparse.Namespace) -> tuple[float | None, str]:
    """Images a second that the device cannot exceed, and where that comes from.

    Where it is not given, the time of the arithmetic and that of going over memory, one after the
    other: a training step multiplies three times as much as its forward pass.
    """
    if given.bound:
        return given.bound, f"bound: {given.bound:,.0f} images/s, as given"
    known = (0.0, 0.0)
    if given.device == "cuda":
        name = torch.cuda.get_device_name()
        known = next((peak for part, peak in PEAKS.items() if part in name), known)
    teraflops, terabytes = given.peak_tflops or known[0], given.bandwidth_tb or known[1]
    if not teraflops or not terabytes:
        return None, "bound: not known for this device (--bound, --peak-tflops, --bandwidth-tb)"
    run, part = bench.run(given.optimiser[0]), storage.read(bench.inputs.test)
    _, channels, pixels, _ = part.images.shape
    classes = len(part.header.classes)
    workload = Workload(channels, pixels, classes, run.model, run.stage.optimiser)
    size = 2 if "bfloat16" in given.precisions else 4
    arithmetic = teraflops * 1e12 / (6 * network_cost(workload).multiply_adds)
    memory = terabytes * 1e12 / (PASSES * size * convolved(workload))
    bound = 1 / (1 / arithmetic + 1 / memory)
    return bound, (
        f"bound: {bound:,.0f} images/s ({arithmetic:,.0f} by arithmetic at {teraflops:g} TFLOP/s, "
        f"{memory:,.0f} by memory at {terabytes:g} TB/s in {PASSES} passes of {size} bytes a "
        "number, one after the other)"
    )


@torch.inference_mode()
def convolved(workload: Workload) -> int:
    """The numbers in the outputs of all convolutions, for one image."""
    total = 0

    def count(layer: nn.Module, inputs: object, output: Tensor) -> None:
        nonlocal total
        total += output.numel()

    network: nn.Module = workload.model(workload.classes, workload.channels)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    network.eval()
    network(torch.zeros(1, workload.channels, workload.pixels, workload.pixels))
    return total


# The same bits


@dataclass(frozen=True)
class Trace:
    """The loss of each of some updates, and all weights and statistics after them."""

    losses: list[float]
    state: dict[str, Tensor]

    @classmethod
    def of(cls, engine: Engine, steps: int) -> Trace:
        """The first updates of `engine`'s stage, from its beginning."""
        stage = engine.fresh()
        epochs = (
            stage.order.rest_of_epoch(number * stage.steps.per_epoch, stage.device)
            for number in count()
        )
        batches, part = chain.from_iterable(epochs), EpochProgress.begin(stage.device)
        before, losses = [0.0, 0.0], []
        for _ in range(steps):
            train_on(stage.train_state, stage.train, islice(batches, 1), part)
            loss, _, images = part.sums.tolist()
            losses.append((loss - before[0]) / (images - before[1]))
            before = [loss, images]
        state = stage.train_state.network.state_dict()
        return cls(losses, {name: value.double().cpu() for name, value in state.items()})

    def distance(self, other: Trace) -> float:
        """The sum of the absolute differences of all weights and statistics."""
        return sum(
            float((value - other.state[name]).abs().sum()) for name, value in self.state.items()
        )

    def difference(self, other: Trace) -> float:
        """The largest relative difference of the loss in any update."""
        pairs = zip(self.losses, other.losses, strict=True)
        return max(abs(mine - theirs) / abs(theirs) for mine, theirs in pairs)


def compared(engines: Sequence[Engine], steps: int) -> list[dict[str, object]]:
    """A row for each of `engines`: how far it is from itself, the first mode and precision."""
    traces: dict[tuple[str, str], Trace] = {}
    rows: list[dict[str, object]] = []
    for engine in engines:
        what, precision = engine.what, engine.precision
        row: dict[str, object] = {"what": what, "precision": precision}
        try:
            one, again = Trace.of(engine, steps), Trace.of(engine, steps)
        except Exception as error:
            print(f"{what}, {precision}: {first_line(error)}", file=sys.stderr, flush=True)
            rows.append(row | dict.fromkeys(COMPARED, UNKNOWN))
            continue
        finally:
            engine.stage = None
            clear()
        traces[what, precision] = one
        first_mode = next(trace for key, trace in traces.items() if key[1] == precision)
        exact = traces.get((what, "float32"))
        values = (
            one.distance(again),
            one.difference(first_mode),
            one.difference(exact) if exact else UNKNOWN,
        )
        rows.append(row | dict(zip(COMPARED, values, strict=True)))
    return rows


COMPARED = (
    "the same twice: all weights differ by",
    "loss, beside the first mode",
    "loss, beside float32",
)


# The command


def seconds_of_import() -> float:
    """What importing torch takes in a process of its own, whose files have been read before."""
    code = (
        "import time; began = time.perf_counter(); import torch; print(time.perf_counter()-began)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure(given: argparse.Namespace) -> tuple[list[dict[str, object]], str, str]:
    """The rows of the table, and what stands above and below it."""
    usual = Usual.now()
    hardware = hardware_of(given, "float32")
    hardware.take(lambda line: print(line, file=sys.stderr))
    with laid_out(given) as folder:
        bench, cache = Bench.at(folder, given), folder / "compiled"
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)  # before the compiler is loaded
        if "compiled" in [*given.modes, *given.free]:
            allow_for_many()
        raw = storage.read_raw(bench.inputs.train, bench.inputs.test)
        bound, told = bound_of(bench, given)
        for precision in given.precisions:
            load_kernels(Engine(bench, given.optimiser[0], hardware_of(given, precision)))
        rows: list[dict[str, object]] = []
        below: list[str] = []
        for optimiser in given.optimiser:
            measured = contest(contestants_of(bench, optimiser, given, usual, cache), given)
            rows += rows_of(measured, optimiser, bound)
            for one in (one for one in measured if one.failure):
                who = f"{one.contestant.what}, {one.contestant.precision}, {optimiser}"
                below.append(f"Failed: {who}: {one.failure}\n")
            let_go(measured)
        if given.steps:
            below.append(bits(given, raw, folder / "few", cache))
    images = "torchvision" if transforms() is Torchvision else "stand-ins for torchvision"
    augmented = ", random crops and flips" if given.augment else ""
    device = f"; {hardware.name}" if given.device == "cuda" else ""
    where = (
        f"{circumstances('torch', 'numpy')}{device}; {given.threads} threads; importing torch "
        f"takes {seconds_of_import():.2f} s.\n"
        f"{given.model}, batches of {bench.batch}, {described(raw)}{augmented}; best of "
        f"{given.repeats} repeats of at least {given.seconds:g} s.\n"
        f"The reference loop has {given.workers} workers, transforms by {images}, and torch's "
        "defaults for float32 (on a GPU TF32 in convolutions); "
        f"ratios are to the first row of an optimiser; {told}."
    )
    return rows, where, "\n".join(below)


def load_kernels(engine: Engine) -> None:
    """Let `engine` start and forget it: what comes first loads kernels and takes memory."""
    with suppress(Exception):  # where it cannot, its row says so
        engine.start()


def allow_for_many() -> None:
    """Let torch's compiler keep all networks: it gives up where a process has more than a few."""
    import torch._dynamo

    torch._dynamo.config.recompile_limit = 1000


def bits(given: argparse.Namespace, raw: RawData, folder: Path, cache: Path) -> str:
    """A table of how far modes and precisions are from themselves and from one another."""
    folder.mkdir()
    # No more images than these updates see, as each of the stages reads all of them.
    some = max(given.steps, 1) * given.batch
    few = replace(
        raw,
        **{name: getattr(raw, name)[:some] for name in ("train_images", "train_labels")},
        **{name: getattr(raw, name)[:1] for name in ("test_images", "test_labels")},
    )
    lay_out(folder, few)
    engines = engines_of(Bench.at(folder, given), given.optimiser[0], given, cache)
    # float32 first: the others are held against it.
    engines.sort(key=lambda engine: engine.precision != "float32")
    about = (
        f"After {given.steps} updates from the same state by {given.optimiser[0]}: the sum of the "
        "absolute differences of all weights, and the largest relative difference of the loss."
    )
    return f"{about}\n\n{markdown(compared(engines, given.steps))}"


def parsed(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    known = [mode for mode in EXECUTIONS if mode != "auto"]
    parser.add_argument("--modes", nargs="+", choices=known, help="eager; also graph on a GPU")
    parser.add_argument(
        "--free", nargs="*", choices=known, help="these modes with any algorithm; all where none"
    )
    parser.add_argument("--precisions", nargs="+", type=precision_of, help="of the engine")
    parser.add_argument("--reference", nargs="*", choices=list(LOOPS), default=list(LOOPS))
    parser.add_argument("--reference-precisions", nargs="+", type=precision_of, default=["float32"])
    parser.add_argument(
        "--optimiser", nargs="+", default=["sgd-lr0.1-m0.9"], help="each, as runs spell it"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads on the CPU")
    parser.add_argument("--workers", type=int, default=2, help="processes that load images")
    parser.add_argument("--seconds", type=float, default=5.0, help="the least that a turn lasts")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each")
    parser.add_argument("--steps", type=int, default=20, help="updates that are compared; 0: none")
    parser.add_argument("--bound", type=float, help="images/s that the device cannot exceed")
    parser.add_argument("--peak-tflops", type=float, help="of the device, 10^12 operations/s")
    parser.add_argument("--bandwidth-tb", type=float, help="of its memory, 10^12 bytes/s")
    given = complete(parser.parse_args(words))
    cuda = given.device == "cuda"
    given.modes = given.modes or (["eager", "graph"] if cuda else ["eager"])
    given.precisions = given.precisions or (
        ["bfloat16", "tfloat32", "float32"] if cuda else ["float32"]
    )
    given.free = [] if given.free is None else given.free or given.modes
    try:
        for mode, precision in product([*given.modes, *given.free], given.precisions):
            hardware_of(given, precision, mode)
    except UserError as error:
        parser.error(str(error))
    return given


def main(words: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, print the tables and write them."""
    given = parsed(words)
    rows, where, below = measure(given)
    tell(rows, where, given.output, below)
    if any(row["images/s"] == UNKNOWN for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
