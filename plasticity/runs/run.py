"""Runs: chains of stages and the lineage paths that spell them.

    cifar10/resnet18/seed0/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_reset5+6

Data set, model and seed, then a folder a stage. The parent of a stage is the folder above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal, get_args

from plasticity.core.errors import shown
from plasticity.runs import vocabulary
from plasticity.runs.combination import combination
from plasticity.runs.facts import (
    DatasetFacts,
    ModelFacts,
    OptimiserFacts,
    SelectionFacts,
    StartFacts,
    TransformFacts,
)
from plasticity.runs.grammar import SpellingError
from plasticity.runs.registry import Term
from plasticity.runs.values import LARGEST

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

MOST_UPDATES = 10**12
"""Updates in a stage whose length is given in them: those of the most epochs, and then some."""

Unit = Literal["e", "i", "till"]


@dataclass(frozen=True)
class Length:
    """How long a stage lasts, by the clock that its learning rate and its batches follow.

    ``e350`` is 350 epochs and ``i500`` 500 updates, from a clock that begins anew. ``till160`` goes
    on from where the clock of the stage before stood, to the end of epoch 160: with a stage of
    ``i500`` before, the two together are as long as ``e160``.
    """

    unit: Unit
    number: int

    @classmethod
    def parse(cls, text: str) -> Length:
        """The length that `text` spells; raises `SpellingError`."""
        found = re.match("e|i|till", text)
        if not found:
            raise SpellingError(
                f"length {shown(text)}: expected e<epochs>, i<updates>, or till<epochs> to go on "
                "from the stage before; such as e350"
            )
        unit: Unit = next(one for one in get_args(Unit) if one == found[0])
        most = MOST_UPDATES if unit == "i" else MOST_EPOCHS
        return cls(unit, _counted("length", unit, text, at_least=1, at_most=most))

    @property
    def epochs(self) -> int | None:
        """The epochs on the clock at its end, or None where it is told in updates."""
        return None if self.unit == "i" else self.number

    def __str__(self) -> str:
        return f"{self.unit}{self.number}"


@dataclass(frozen=True)
class Stage:
    """One stage of training: which examples, which update rule, how long, starting from what.

    `transforms` say how the stage sees its examples, in their one order.
    """

    data: Term[SelectionFacts]
    optimiser: Term[OptimiserFacts]
    length: Length
    start: Term[StartFacts]
    transforms: tuple[Term[TransformFacts], ...] = ()

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
            data=vocabulary.data_selections.parse(data.partition("+")[0]),
            optimiser=vocabulary.optimisers.parse(optimiser),
            length=Length.parse(length),
            start=vocabulary.starts.parse(start),
            transforms=transforms_of(data),
        )

    @cached_property
    def seen(self) -> str:
        """The data token: which examples, and how they are seen."""
        return "+".join(map(str, (self.data, *self.transforms)))

    @property
    def prunes(self) -> bool:
        """Whether the stage trains what is left of the network after pruning it."""
        return self.start.facts.prunes

    @property
    def is_new(self) -> bool:
        """Whether the stage begins at the initialisation, with nothing done to it."""
        return self.start.facts.inherits is False

    @cached_property
    def spelling(self) -> str:
        """The folder name itself, in its one spelling."""
        return f"{self.seen}_{self.optimiser}_{self.length}_{self.start}"

    def __str__(self) -> str:
        return self.spelling


@dataclass(frozen=True)
class Run:
    """A network's history: its data set, model and seed, and one or more stages of training."""

    dataset: Term[DatasetFacts]
    model: Term[ModelFacts]
    seed: int
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        self._require_short()
        modules = self.model.facts.modules
        classes = self.dataset.facts.classes
        for position, stage in enumerate(self.stages):
            # None is for a start that may stand anywhere.
            inherits = stage.start.facts.inherits
            if position == 0 and stage.length.unit == "till":
                raise SpellingError(
                    f"stage '{stage}' goes on till epoch {stage.length.number}, but no stage "
                    f"stands before it: write e{stage.length.number}"
                )
            if position == 0 and inherits:
                raise SpellingError(
                    f"stage '{stage}' starts with '{stage.start}', but no stage stands before it: "
                    "the first stage of a run starts with 'init'"
                )
            if position > 0 and inherits is False:
                raise SpellingError(
                    f"stage '{stage}' starts with '{stage.start}' and would forget the stages "
                    "before it: write it as a run of its own"
                )
            if position == 0 and stage.prunes:
                self._require_sources(stage)
            impossible = [m for m in stage.start.options.get("modules", ()) if m > modules]
            if impossible:
                raise SpellingError(
                    f"start '{stage.start}': {self.model} has the modules 1 to {modules}, "
                    f"there is no module {impossible[0]}"
                )
            if stage.data.facts.classes:
                needed = stage.data.facts.classes(**stage.data.own)
                if needed > classes:
                    raise SpellingError(
                        f"data selection '{stage.data}' deals out the classes to {needed} stages, "
                        f"but {self.dataset} has {classes}; take fewer stages or a ratio of 1"
                    )
            if position > 0 and stage.length.unit == "till":
                self._require_time_left(self.stages[position - 1], stage)
            if stage.start.facts.rewinds and not any(
                before.prunes for before in self.stages[:position]
            ):
                raise SpellingError(
                    f"start '{stage.start}' goes on with the mask of a ticket, and no stage before "
                    "it starts with one"
                )

    def _require_sources(self, stage: Stage) -> None:
        """Raise `SpellingError` where the first `stage` takes something from a stage before it."""
        options = stage.start.options
        sources = [options.get("signs"), options.get("magnitudes")]
        plain = vocabulary.starts.term("ticket", {n: options[n] for n in ("level", "fraction")})
        if "k" in sources:
            raise SpellingError(
                f"start '{stage.start}': no stage stands before it, so that 'k' is the "
                "initialisation: write 'init'"
            )
        if sources == ["init", "init"]:
            raise SpellingError(
                f"start '{stage.start}': the weights are those of the initialisation already: "
                f"write '{plain}'"
            )

    def _require_time_left(self, before: Stage, stage: Stage) -> None:
        """Raise `SpellingError` where the clock has passed the end of `stage` when it begins.

        Or where an epoch is not the same number of updates in both. Lengths in updates are compared
        when that number is known.
        """
        batches = [one.optimiser.options["batch"] for one in (before, stage)]
        if before.data != stage.data or batches[0] != batches[1]:
            raise SpellingError(
                f"stage '{stage}' goes on till epoch {stage.length.number}, but the stage before "
                "it has other examples or another size of batches, and so other epochs: write "
                f"e{stage.length.number} for as many of its own"
            )
        if before.length.epochs is not None and before.length.epochs >= stage.length.number:
            raise SpellingError(
                f"stage '{stage}' goes on till epoch {stage.length.number}, and the stage before "
                f"it has lasted till epoch {before.length.epochs} already; go on for longer"
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

        None where there is none, or where what a batch holds, or which weights are pruned, depends
        on the length of the stage.
        """
        stage = self.stage
        if stage.length.unit != "e" or stage.prunes or stage.data.facts.fraction_of_all:
            return None
        lower = [epochs for epochs in RUNGS if epochs < stage.length.number]
        return self._ending(length=Length("e", max(lower))) if lower else None

    @property
    def from_scratch(self) -> Run:
        """The cold counterpart: the last stage alone, from a fresh initialisation."""
        stage = self.stage
        unit: Unit = "e" if stage.length.unit == "till" else stage.length.unit
        init = vocabulary.starts.parse("init")
        alone = replace(stage, start=init, length=Length(unit, stage.length.number))
        return replace(self, stages=(alone,))

    @cached_property
    def ticket(self) -> Run | None:
        """The plain ticket whose mask this run trains with, or None where it prunes nothing.

        A perturbed ticket has the mask of the unperturbed one, and another order of the examples
        that of the usual order.
        """
        if not self.stage.prunes:
            return None
        return self._at_level(self.stage.start.options["level"])

    @cached_property
    def pruned_from(self) -> Run | None:
        """The run after which the mask of this one is pruned: the level before this one's.

        Iterative magnitude pruning (Frankle et al. 2020): each level is trained to its end, pruned,
        and set back to where it began. Before the first level stands the dense network.
        """
        if not self.stage.prunes:
            return None
        level = self.stage.start.options["level"]
        return self._at_level(level - 1) if level > 1 else self._usual.dense

    @property
    def dense(self) -> Run:
        """The same run without any pruning in its last stage.

        Where a ticket is set back into the training from which it comes, that is this training,
        uninterrupted: so all points to rewind to share it.
        """
        first, *later = self.stages
        straight = all(
            stage.length.unit == "till"
            and (stage.seen, stage.optimiser) == (first.seen, first.optimiser)
            and not stage.data.facts.fraction_of_all  # which depends on the whole length
            for stage in later
        )
        if not self.parent or (straight and first.is_new and self.parent.is_plain):
            return self.from_scratch
        return self._ending(start=vocabulary.starts.parse("keep"))

    @property
    def is_plain(self) -> bool:
        """Whether every stage goes on from the one before with all of its weights unchanged."""
        return all(str(stage.start) in ("init", "keep") for stage in self.stages)

    @property
    def reordered_run(self) -> Run:
        """The same run with another order of the examples in its last stage."""
        order = vocabulary.transforms.parse("order1")
        if any(view.member is order.member for view in self.stage.transforms):
            raise SpellingError(
                f"run {shown(self.path)}: its last stage has an order of its own; the two that are "
                "compared are the usual one and order1, so leave it out"
            )
        if any(view.facts.classes is not None for view in self.stage.transforms):
            raise SpellingError(
                f"run {shown(self.path)}: its last stage has labels of its own, and networks are "
                "compared by how they tell the classes of the data set"
            )
        return self._ending(transforms=combination((*self.stage.transforms, order)))

    def _at_level(self, level: int) -> Run:
        """The plain ticket of another `level`, pruned by the same fraction a level."""
        options = {"level": level, "fraction": self.stage.start.options["fraction"]}
        return self._usual._ending(start=vocabulary.starts.term("ticket", options))

    @property
    def _usual(self) -> Run:
        """The same run with the usual order of the examples in its last stage."""
        transforms = [view for view in self.stage.transforms if view.facts.changes != "order"]
        return self._ending(transforms=tuple(transforms))

    def _ending(self, **changes: object) -> Run:
        """The same run with `changes` in its last stage."""
        stage = replace(self.stage, **changes)  # type: ignore[arg-type]
        return Run.parse("/".join([*self.path.split("/")[:-1], stage.spelling]))


def transforms_of(text: str) -> tuple[Term[TransformFacts], ...]:
    """The transforms in the data token `text`, in their order; raises `SpellingError`."""
    selection, *spelt = text.split("+")
    transforms = tuple(vocabulary.transforms.parse(view) for view in spelt)
    try:
        ordered = combination(transforms)
    except ValueError as error:
        raise SpellingError(f"data {shown(text)}: {error}") from None
    if ordered != transforms:
        right = "+".join([selection, *map(str, ordered)])
        raise SpellingError(f"data {shown(text)} is spelt {right!r}")
    return transforms


def states_of(runs: Iterable[Run]) -> set[Run]:
    """The runs whose final states `runs` are made from.

    Those of the stages before, and of the levels from which their masks are pruned.
    """
    found: set[Run] = set()
    waiting = list(runs)
    while waiting:
        run = waiting.pop()
        before = {one for one in (run.parent, run.pruned_from) if one} - found
        found |= before
        waiting += before
    return found


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
