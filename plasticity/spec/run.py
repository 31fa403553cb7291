"""Runs: chains of stages and the lineage paths that spell them.

    cifar10/resnet18/seed0/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_reset5+6

Data set, model and seed, then a folder a stage. The parent of a stage is the folder above it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property

from plasticity.errors import shown
from plasticity.spec import vocabulary
from plasticity.spec.grammar import SpellingError
from plasticity.spec.registry import Term
from plasticity.spec.values import LARGEST

RUNGS = (10, 20, 50, 100, 200, 500, 1000)
"""Epochs at which a longer pretraining continues from a shorter one.

They are constants, not settings, so that what a path means never depends on a configuration.
"""

LONGEST_STAGE = 230
"""Bytes in the folder name of a stage.

File systems allow 255 in a name; some are left for what is put around it: ``.log``, and the
``.partial`` of a file that is being written.
"""

LONGEST_RUN = 2400
"""Bytes in the path of a run, of which some sixty stages have room.

Linux allows 4,096 in a path; Snakemake keeps its records in files that are named by the path in
base64, which is a third longer, below the folder that the study runs in.
"""

MOST_EPOCHS = 1_000_000
"""Epochs in a stage: a thousand times the highest rung. Every epoch is a row of the metrics."""


@dataclass(frozen=True)
class Stage:
    """One stage of training: which examples, which update rule, how long, starting from what."""

    data: Term
    optimiser: Term
    epochs: int
    start: Term

    @classmethod
    def parse(cls, text: str) -> Stage:
        """The stage that `text` spells, such as ``half_adam-lr0.001_e350_init``."""
        tokens = text.split("_")
        if len(tokens) != 4:
            raise SpellingError(
                f"stage {shown(text)}: expected <data>_<optimiser>_<length>_<start>, "
                "such as half_adam-lr0.001_e350_init"
            )
        data, optimiser, length, start = tokens
        return cls(
            data=vocabulary.data_selections.parse(data),
            optimiser=vocabulary.optimisers.parse(optimiser),
            epochs=_counted("length", "e", length, at_least=1, at_most=MOST_EPOCHS),
            start=vocabulary.starts.parse(start),
        )

    @cached_property
    def spelling(self) -> str:
        """The folder name itself, in its one spelling."""
        return f"{self.data}_{self.optimiser}_e{self.epochs}_{self.start}"

    def __str__(self) -> str:
        return self.spelling


@dataclass(frozen=True)
class Run:
    """A network's history: its data set, model and seed, and one or more stages of training."""

    dataset: Term
    model: Term
    seed: int
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        self._require_short()
        modules = self.model.facts["modules"]
        classes = self.dataset.facts.get("classes", math.inf)
        for position, stage in enumerate(self.stages):
            inherits = stage.start.facts.get("inherits", True)
            if position == 0 and inherits:
                raise SpellingError(
                    f"stage '{stage}' starts with '{stage.start}', but no stage stands before it: "
                    "the first stage of a run starts with 'init'"
                )
            if position > 0 and not inherits:
                raise SpellingError(
                    f"stage '{stage}' starts with '{stage.start}' and would forget the stages "
                    "before it: write it as a run of its own"
                )
            impossible = [m for m in stage.start.options.get("modules", ()) if m > modules]
            if impossible:
                raise SpellingError(
                    f"start '{stage.start}': {self.model} has the modules 1 to {modules}, "
                    f"there is no module {impossible[0]}"
                )
            if "classes" in stage.data.facts:
                needed = stage.data.facts["classes"](**stage.data.own)
                if needed > classes:
                    raise SpellingError(
                        f"data selection '{stage.data}' deals out the classes to {needed} stages, "
                        f"but {self.dataset} has {classes}; take fewer stages or a ratio of 1"
                    )

    def _require_short(self) -> None:
        """Raise `SpellingError` where the path of this run could be no folder on disk."""
        for stage in self.path.split("/")[3:]:
            if len(stage) > LONGEST_STAGE:
                raise SpellingError(
                    f"stage {shown(stage)}: its folder would have a name of {len(stage)} "
                    f"characters, expected at most {LONGEST_STAGE}; take numbers of fewer digits"
                )
        if len(self.path) > LONGEST_RUN:
            raise SpellingError(too_long(self.path))

    @classmethod
    @cache
    def parse(cls, text: str) -> Run:
        """The run that the lineage path `text` spells; raises `SpellingError`."""
        if len(text) > LONGEST_RUN:
            raise SpellingError(too_long(text))
        parts = text.split("/")
        if len(parts) < 4:
            raise SpellingError(
                f"run {shown(text)}: expected <dataset>/<model>/seed<k>/<stage>[/<stage>...]"
            )
        dataset, model, seed, *stages = parts
        try:
            return cls(
                dataset=vocabulary.datasets.parse(dataset),
                model=vocabulary.models.parse(model),
                seed=seed_of(seed),
                stages=tuple(Stage.parse(stage) for stage in stages),
            )
        except SpellingError as error:
            raise SpellingError(f"run {shown(text)}: {error}") from None

    @cached_property
    def path(self) -> str:
        """The one spelling of this run."""
        return "/".join(
            [str(self.dataset), str(self.model), f"seed{self.seed}", *map(str, self.stages)]
        )

    def __str__(self) -> str:
        return self.path

    def __hash__(self) -> int:
        # Equal runs have the same spelling, and text keeps its hash: sets of thousands of runs
        # need not go through every option of every stage again.
        return hash(self.path)

    @property
    def stage(self) -> Stage:
        """The last stage: the one that this run's own job trains."""
        return self.stages[-1]

    @cached_property
    def parent(self) -> Run | None:
        """The run that the last stage starts from."""
        # By its spelling, so that all runs with this parent share one object and what it knows.
        return Run.parse(self.path.rpartition("/")[0]) if len(self.stages) > 1 else None

    @cached_property
    def rung(self) -> Run | None:
        """The shorter pretraining that this one continues: the next lower of `RUNGS`.

        None where there is none, or where what a batch holds depends on the length of the stage.
        """
        if "share_of_all" in self.stage.data.facts:
            return None
        lower = [epochs for epochs in RUNGS if epochs < self.stage.epochs]
        if not lower:
            return None
        return replace(self, stages=(*self.stages[:-1], replace(self.stage, epochs=max(lower))))

    @property
    def from_scratch(self) -> Run:
        """The cold counterpart: the last stage alone, from a fresh initialisation."""
        init = vocabulary.starts.parse("init")
        return replace(self, stages=(replace(self.stage, start=init),))


def ancestors(runs: Iterable[Run]) -> list[Run]:
    """The stages that `runs` went through before their last, each once, parents first."""
    found: dict[Run, None] = {}
    for run in runs:
        lineage: list[Run] = []
        while run.parent:
            run = run.parent
            lineage.insert(0, run)
        found.update(dict.fromkeys(lineage))
    return list(found)


def too_long(path: str) -> str:
    """The message for a run whose `path` has more than `LONGEST_RUN` characters."""
    return (
        f"run {shown(path)}: its path has more than {LONGEST_RUN} characters, for which there is "
        "no room on disk; take fewer stages"
    )


def seed_of(text: str) -> int:
    """The seed that `text` spells, such as ``seed7``; raises `SpellingError`."""
    return _counted("seed", "seed", text, at_least=0, at_most=LARGEST)


def _counted(kind: str, key: str, text: str, *, at_least: int, at_most: int) -> int:
    """The number in `text`, which is `key` and a whole number in its one spelling."""
    found = re.fullmatch(re.escape(key) + r"([+-]?\d{1,18})", text)
    if not found or not at_least <= int(found[1]) <= at_most:
        low = found and int(found[1]) < at_least
        # The upper bound is far from what anybody asks for: only who meets it is told of it.
        upper = f" and at most {at_most}" if not low and text[len(key) :].isdigit() else ""
        raise SpellingError(
            f"{kind} {shown(text)}: expected {key}<number>, "
            f"a whole number of at least {at_least}{upper}"
        )
    if found[1] != str(int(found[1])):
        raise SpellingError(f"{kind} {shown(text)} is spelt '{key}{int(found[1])}'")
    return int(found[1])
