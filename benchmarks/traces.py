"""Whether the same steps end in the same bits, and how far modes and precisions are apart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path

from torch import Tensor

from benchmarks.contest import UNKNOWN, Engine, clear, engines_of
from benchmarks.measure import markdown
from benchmarks.stand import Bench, first_line, lay_out
from plasticity.data.raw import RawData
from plasticity.training.loop import EpochProgress, train_on


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
            loss, _, images, _ = part.sums.tolist()
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
