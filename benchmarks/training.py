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
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import product

from benchmarks.bound import bound_of
from benchmarks.contest import (
    UNKNOWN,
    Engine,
    contest,
    contestants_of,
    hardware_of,
    let_go,
    rows_of,
)
from benchmarks.measure import circumstances, tell
from benchmarks.reference import LOOPS, Torchvision, Usual, image_transforms
from benchmarks.stand import Bench, add_options, complete, described, laid_out, precision_of
from benchmarks.traces import bits
from plasticity.core.errors import UserError
from plasticity.data import storage
from plasticity.runs.compute import EXECUTIONS


def seconds_of_import() -> float:
    """What importing torch takes in a process of its own, whose files have been read before."""
    code = (
        "import time; began = time.perf_counter(); import torch; print(time.perf_counter()-began)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
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
    images = "torchvision" if image_transforms() is Torchvision else "stand-ins for torchvision"
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
