"""Runs: chains of stages and the lineage paths that spell them.

    cifar10/resnet18/seed0/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_reset5+6

Data set, model and seed, then a folder a stage. The parent of a stage is the folder above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from plasticity.core.errors import shown
from plasticity.runs import vocabulary
from plasticity.runs.bounds import LARGEST, LONGEST_RUN, LONGEST_STAGE
from plasticity.runs.checks import require_sound
from plasticity.runs.combination import combination
from plasticity.runs.facts import DatasetFacts, ModelFacts
from plasticity.runs.grammar import SpellingError
from plasticity.runs.length import Length, Unit, counted
from plasticity.runs.registry import Term
from plasticity.runs.stage import Stage, Token

RUNGS = (10, 20, 50, 100, 200, 500, 1000)
"""Epochs at which a longer pretraining continues from a shorter one.

They are constants, not settings, so that what a path means never depends on a configuration.
"""


@dataclass(frozen=True)
class Run:
    """A network's history: its data set, model and seed, and one or more stages of training."""

    dataset: Term[DatasetFacts]
    model: Term[ModelFacts]
    seed: int
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        self._require_short()
        require_sound(self.dataset, self.model, self.stages)

    def _require_short(self) -> None:
        """Raise `SpellingError` where the path of this run could be no folder on disk."""
        for name in map(str, self.stages):
            if len(name) > LONGEST_STAGE:
                raise SpellingError(
                    f"stage {shown(name)}: its folder would have a name of {len(name)} "
                    f"characters, expected at most {LONGEST_STAGE}; take numbers of fewer digits"
                )
        if len(self.path) > LONGEST_RUN:
            raise SpellingError(too_long(self.path))

    @classmethod
    @cache
    def of(
        cls,
        dataset: Term[DatasetFacts],
        model: Term[ModelFacts],
        seed: int,
        stages: tuple[Stage, ...],
    ) -> Run:
        """The run of these parts: equal runs share one object and what it knows.

        Raises `SpellingError` where the parts do not go together.
        """
        return cls(dataset, model, seed, stages)

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
        return cls.of_words(dataset, model, seed, [stage.split("_") for stage in stages])

    @classmethod
    def of_words(
        cls, dataset: Token, model: Token, seed: int | str, stages: Sequence[Sequence[Token]]
    ) -> Run:
        """The run of words that are known already or spelt, a stage the four of it.

        Raises `SpellingError`, with the path of the run that is asked for.
        """
        try:
            return cls.of(
                vocabulary.datasets.known(dataset),
                vocabulary.models.known(model),
                seed if isinstance(seed, int) else seed_of(seed),
                tuple(Stage.of(*tokens) for tokens in stages),
            )
        except SpellingError as error:
            parts = ["_".join(map(str, tokens)) for tokens in stages]
            seed = f"seed{seed}" if isinstance(seed, int) else seed
            text = "/".join([str(dataset), str(model), seed, *parts])
            raise type(error)(f"run {shown(text)}: {error}") from None

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
        before = self.stages[:-1]
        return Run.of(self.dataset, self.model, self.seed, before) if before else None

    @cached_property
    def rung(self) -> Run | None:
        """The shorter pretraining that this one continues: the next lower of `RUNGS`.

        None where there is none, or where what a batch holds, its learning rate, or which weights
        are pruned, depends on the length of the stage.
        """
        if not self.stage.is_beginning:
            return None
        lower = [epochs for epochs in RUNGS if epochs < self.stage.length.number]
        return self.ending(length=Length("e", max(lower))) if lower else None

    @property
    def is_rung(self) -> bool:
        """Whether longer pretrainings continue from this one."""
        return self.stage.is_beginning and self.stage.length.number in RUNGS

    @property
    def from_scratch(self) -> Run:
        """The cold counterpart: the last stage alone, from a fresh initialisation."""
        stage = self.stage
        unit: Unit = "e" if stage.length.unit == "till" else stage.length.unit
        init = vocabulary.starts.parse("init")
        alone = replace(stage, start=init, length=replace(stage.length, unit=unit))
        return Run.of(self.dataset, self.model, self.seed, (alone,))

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
            and (stage.seen, stage.trained_by) == (first.seen, first.trained_by)
            and not stage.depends_on_length
            for stage in later
        )
        if not self.parent or (straight and first.is_new and self.parent.is_plain):
            return self.from_scratch
        return self.ending(start=vocabulary.starts.parse("keep"))

    @property
    def is_plain(self) -> bool:
        """Whether every stage goes on from the one before with all of its weights unchanged."""
        return all(str(stage.start) in ("init", "keep", "continue") for stage in self.stages)

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
        return self.ending(transforms=combination((*self.stage.transforms, order)))

    def _at_level(self, level: int) -> Run:
        """The plain ticket of another `level`, pruned by the same fraction a level."""
        options = {"level": level, "fraction": self.stage.start.options["fraction"]}
        return self._usual.ending(start=vocabulary.starts.term("ticket", options))

    @property
    def _usual(self) -> Run:
        """The same run with the usual order of the examples in its last stage."""
        transforms = [view for view in self.stage.transforms if view.facts.changes != "order"]
        return self.ending(transforms=tuple(transforms))

    def ending(self, **changes: object) -> Run:
        """The same run with `changes` in its last stage."""
        stage = replace(self.stage, **changes)  # type: ignore[arg-type]
        return Run.of(self.dataset, self.model, self.seed, (*self.stages[:-1], stage))


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
    return counted("seed", "seed", text, at_least=0, at_most=LARGEST)
