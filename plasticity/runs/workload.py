"""Workloads: what a step of training costs depends on, and how many images a stage passes over.

All of it is told by a run's path and the facts of its words, before anything is prepared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from plasticity.core.errors import UserError
from plasticity.runs import vocabulary
from plasticity.runs.facts import (
    DatasetFacts,
    MethodFacts,
    ModelFacts,
    OptimiserFacts,
    batches_of,
)
from plasticity.runs.registry import Term
from plasticity.runs.run import Run
from plasticity.runs.stage import passes_of, rule_and_methods, trained_by
from plasticity.runs.variants import sizes_of

RATE = 0.001
"""The learning rate that stands for all: how fast a step is does not depend on it."""


@cache
def facts_of(dataset: Term[DatasetFacts]) -> DatasetFacts:
    """The facts of `dataset`, which may be a smaller variant; raises `UserError`."""
    facts = dataset.facts
    pixels = dataset.options["pixels"]
    train, validation = sizes_of(dataset, facts.train)
    if pixels is not None and facts.width is not None:
        raise UserError(
            f"data set {dataset}: -r is for square images, and these have "
            f"{' x '.join(map(str, facts.size))} pixels; leave it out"
        )
    return replace(
        facts,
        train=train,
        validation=validation,
        pixels=facts.pixels if pixels is None else pixels,
    )


@dataclass(frozen=True)
class Workload:
    """What the time and the memory of a step depend on; runs that agree in it are equally fast.

    The optimiser is that of a run, with its batch size and with `RATE` for its learning rate.
    """

    channels: int
    pixels: int
    classes: int
    model: Term[ModelFacts]
    optimiser: Term[OptimiserFacts]
    width: int | None = None
    """Where images are not square; they have `pixels` from top to bottom."""
    methods: tuple[Term[MethodFacts], ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        return self.pixels, self.pixels if self.width is None else self.width

    @classmethod
    def of(cls, run: Run) -> Workload:
        """The workload of the last stage of `run`; raises `UserError` for too many examples."""
        return cls.on(run.dataset, run.model, run.stage.optimiser, run.stage.methods)

    @classmethod
    def on(
        cls,
        dataset: Term[DatasetFacts],
        model: Term[ModelFacts],
        optimiser: Term[OptimiserFacts],
        methods: tuple[Term[MethodFacts], ...] = (),
    ) -> Workload:
        """The workload of training `model` on `dataset`; raises `UserError`."""
        facts = facts_of(dataset)
        if "lr" in optimiser.options:
            options = {**optimiser.options, "lr": RATE}
            optimiser = vocabulary.optimisers.term(optimiser.member.name, options)
        place = facts.channels, facts.pixels, facts.classes
        return cls(*place, model, optimiser, facts.width, methods)

    @classmethod
    def parse(cls, text: str) -> Workload:
        """The inverse of ``str``; raises `ValueError`."""
        found = re.fullmatch(r"(\d+)x(\d+)x(\d+)(?:x(\d+))?/([^/]+)/([^/]+)", text)
        if not found:
            raise ValueError(f"workload {text!r}: not classes, channels, pixels, model, optimiser")
        classes, channels, pixels = map(int, found.group(1, 2, 3))
        width, model, token = found.group(4, 5, 6)
        optimiser, methods = rule_and_methods(token)
        return cls(
            channels,
            pixels,
            classes,
            vocabulary.models.parse(model),
            optimiser,
            int(width) if width else None,
            methods,
        )

    @property
    def passes(self) -> int:
        """How often a step evaluates the loss and its gradient."""
        return passes_of(self.optimiser, self.methods)

    @property
    def trained_by(self) -> str:
        """The rule, and the methods beside it."""
        return trained_by(self.optimiser, self.methods)

    def __str__(self) -> str:
        width = f"x{self.width}" if self.width else ""
        image = f"{self.classes}x{self.channels}x{self.pixels}{width}"
        return f"{image}/{self.model}/{self.trained_by}"


def examples(run: Run) -> int:
    """The training examples that the last stage of `run` may see; raises `UserError`."""
    data, of = run.stage.data, facts_of(run.dataset)
    if data.facts.size and not data.facts.fraction_of_all:
        return data.facts.size(of.train, of.classes, **data.own)
    return of.train


def steps_per_epoch(run: Run) -> int:
    """The steps in an epoch of the last stage of `run`: its whole batches."""
    return int(examples(run) // run.stage.optimiser.options["batch"])


def start_passes(run: Run) -> int:
    """The passes, forward and backward over a batch, that the start of its last stage makes.

    Raises `UserError`.
    """
    start = run.stage.start
    batches = batches_of(start)
    number = steps_per_epoch(run) if batches == "epoch" else batches
    return number * start.facts.passes_per_batch


def require_a_batch(run: Run, count: int) -> None:
    """Raise `UserError` where `count` examples are less than a batch of the last stage of `run`."""
    batch = run.stage.optimiser.options["batch"]
    if count < batch:
        raise UserError(
            f"stage '{run.stage}': {run.stage.data} of {run.dataset} has {count} examples, fewer "
            f"than one batch of {batch}; take more data or a smaller batch (-b)"
        )


def step_range(run: Run) -> tuple[int, int]:
    """The steps on the clock of the last stage of `run` when it begins, and at its end.

    Raises `UserError` for too many examples, and where the end comes before the beginning.
    """
    length = run.stage.length
    end = length.number if length.unit == "i" else length.number * steps_per_epoch(run)
    if length.unit != "till":
        return 0, end
    assert run.parent is not None
    begin = step_range(run.parent)[1]
    require_time_left(run, begin, end)
    return begin, end


def require_time_left(run: Run, begin: int, end: int) -> None:
    """Raise `UserError` where the clock stands at step `begin`, not before the `end`."""
    if begin >= end:
        raise UserError(
            f"stage '{run.stage}' goes on till epoch {run.stage.length.number}, which is after "
            f"{end} updates, and the stage before it has made {begin} already; take an earlier "
            "state or go on for longer"
        )


def epochs_of(run: Run) -> int:
    """The epochs that the last stage of `run` trains on, begun ones too."""
    begin, end = step_range(run)
    steps = max(1, steps_per_epoch(run))  # less than a batch is refused when it is to be trained
    return -(-end // steps) - begin // steps
