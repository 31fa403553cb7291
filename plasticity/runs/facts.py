"""What the words of each registry declare about themselves, so that runs are planned without them.

A fact that is misspelt, missing or of another registry is refused where it is declared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from plasticity.core.errors import UserError
from plasticity.runs.own_data import OwnData
from plasticity.runs.registry import Term

Changes = Literal["images", "labels", "batches", "order"]
"""What a transform changes, in the order in which transforms are applied."""

Acts = Literal["geometry", "values"]
"""What it does to images: pixels move, or change; in the order in which transforms are applied."""

Batches = int | Literal["epoch"]
"""How many batches a start is given: a number, or those of one pass through the stage's data."""


@dataclass(frozen=True)
class DatasetFacts:
    """A data set in numbers: examples to train and test on, classes, channels, pixels a side.

    At most so many examples and classes, and exactly so many channels, are read. Images that are
    not square have `pixels` from top to bottom and another `width`. Where `archived` is true, there
    is an original archive whose checksum is verified, so that all copies are alike. `own` is how
    the configuration declares it, where that does. A variant may hold out `validation` examples.
    """

    train: int
    test: int
    classes: int
    channels: int
    pixels: int
    archived: bool = False
    width: int | None = None
    own: OwnData | None = None
    validation: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        return self.pixels, self.pixels if self.width is None else self.width


@dataclass(frozen=True)
class ModelFacts:
    """A network: its numbered `modules`, by name or how many; or a function of its options.

    Without, they are told by the network once it is built, and a start that names one too many is
    refused only then. `depth` and `width` are for tables, where they are not among its options.
    """

    modules: int | tuple[str, ...] | Callable[..., tuple[str, ...]] | None = None
    depth: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        modules: object = self.modules
        words = "expected a number of at least 1, or the names of modules"
        if isinstance(modules, bool) or not isinstance(modules, int | tuple | Callable | None):
            raise ValueError(f"modules: got {modules!r}, {words}")
        if isinstance(modules, int) and modules < 1:
            raise ValueError(f"modules: got {modules}, {words}")
        if isinstance(modules, tuple) and len({str(name) for name in modules}) != len(modules):
            raise ValueError(f"modules: got {modules!r}, {words}, each once")

    def names(self, **options: object) -> tuple[str, ...] | None:
        """The names of the modules of the network with these options, where they are declared."""
        modules = self.modules(**options) if callable(self.modules) else self.modules
        return modules if isinstance(modules, tuple) else None

    def count(self, **options: object) -> int | None:
        """How many modules the network with these options has, where that is declared."""
        names = self.names(**options)
        if names is not None:
            return len(names)
        return self.modules if isinstance(self.modules, int) else None


@dataclass(frozen=True)
class SelectionFacts:
    """A data selection. Its functions are given its options by name.

    - `size`, of the numbers of all examples and of classes: how many an epoch passes over, where
      that is not all of them (it tells beforehand what a study costs).
    - `stream`, a template of the options: selections that share it are drawn alike.
    - `classes`: how many classes the data set must have.
    - `fraction_of_all`, of the progress of the stage in 0 .. 1: batches are then drawn with
      replacement, each example from the whole training set with this probability and from the
      selection otherwise.
    """

    size: Callable[..., int] | None = None
    stream: str | None = None
    classes: Callable[..., int] | None = None
    fraction_of_all: Callable[..., float] | None = None


@dataclass(frozen=True)
class TransformFacts:
    """A transform of the examples: what it `changes`, and what it does to images (`acts`).

    Where that is the batches, `draws` has a number for each random number that it needs: random
    number i is uniform in 0 .. draws[i] - 1. Where it gives labels of its own, `classes` says how
    many there are; where `test` is true it is applied to the test examples as well, once. Where
    `square` is true, images must be as wide as high.
    """

    changes: Changes
    draws: tuple[int, ...] = ()
    classes: int | None = None
    test: bool = False
    acts: Acts = "values"
    square: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (("changes", self.changes, Changes), ("acts", self.acts, Acts)):
            if value not in get_args(known):
                raise ValueError(f"{name}: got {value!r}, expected one of {get_args(known)}")
        batches = self.changes == "batches"
        if batches != bool(self.draws):
            raise ValueError("draws: expected where batches are changed, and only there")
        if not batches and (self.classes is not None or self.test):
            raise ValueError("classes, test: only what changes batches has them")

    @property
    def relabels(self) -> bool:
        """Whether it gives the examples labels."""
        return self.changes == "labels" or self.classes is not None


@dataclass(frozen=True)
class StartFacts:
    """A start, from the weights that the stage before ended with.

    - `inherits`: whether a stage must stand before (True), may not (False), or may (None: without
      one, the network that is given is the one at initialisation).
    - `prunes`: the stage trains a sub-network, with the mask of the option ``level`` of iterative
      magnitude pruning, rewinding to the state that the network is given in.
    - `rewinds`: the stage trains a sub-network, with the mask of the stage before.
    - `keeps_optimiser`: the optimiser goes on with the state that the stage before left it in.

    What its function is given after the generator, in this order, where it trains no sub-network:

    - `batches`: so many batches of the stage's data, or a function of its options that tells. It
      makes about `passes_per_batch` forward and backward passes of each, which budgets count.
    - `initial`: the network as the run was initialised.
    - `seed`: the seed of the run.
    """

    inherits: bool | None = True
    prunes: bool = False
    rewinds: bool = False
    keeps_optimiser: bool = False
    batches: Batches | Callable[..., Batches] = 0
    passes_per_batch: int = 1
    initial: bool = False
    seed: bool = False

    def __post_init__(self) -> None:
        if not callable(self.batches):
            _require_batches(self.batches, least=0)
        if type(self.passes_per_batch) is not int or self.passes_per_batch < 0:
            raise ValueError(
                f"passes_per_batch: got {self.passes_per_batch!r}, expected a whole number of at "
                "least 0"
            )
        if self.ticket and self._asked:
            raise ValueError(f"{self._asked[0]}: a start that trains a sub-network is given none")

    @property
    def ticket(self) -> bool:
        """Whether the stage trains a sub-network."""
        return self.prunes or self.rewinds

    @property
    def given(self) -> tuple[str, ...]:
        """What its function is given by position."""
        return ("network", "generator", *(("ticket",) if self.ticket else self._asked))

    @property
    def _asked(self) -> tuple[str, ...]:
        asked = {"batches": self.batches, "initial": self.initial, "seed": self.seed}
        return tuple(name for name, wanted in asked.items() if wanted)


def batches_of(start: Term[StartFacts]) -> Batches:
    """How many batches `start` is given; raises `UserError` where its function tells otherwise."""
    batches = start.facts.batches
    if not callable(batches):
        return batches
    try:
        return _require_batches(batches(**start.own), least=1)
    except ValueError as error:
        raise UserError(f"start '{start}': {error}; correct its facts") from None


def _require_batches(found: object, least: int) -> Batches:
    if found == "epoch":
        return "epoch"
    if type(found) is not int or found < least:
        raise ValueError(
            f"batches: got {found!r}, expected a whole number of at least {least} or 'epoch'"
        )
    return found


@dataclass(frozen=True)
class OptimiserFacts:
    """An update rule, by how many `passes` it makes a step: forward and backward, on one batch.

    With more than one its step is given a closure, by which it asks for those after the first;
    where their number varies, it is about how many.
    """

    passes: int = 1

    def __post_init__(self) -> None:
        if type(self.passes) is not int or self.passes < 1:
            raise ValueError(
                f"passes: got {self.passes!r}, expected a whole number of at least 1: how often a "
                "step evaluates the loss and its gradient"
            )


Part = Literal["loss", "gradient", "weights", "units", "second"]
"""What a method acts on, in the order in which methods are spelt and take their turns: the loss,
gradients, weights after a step, single units, a second network that is trained along."""

Every = tuple[int, Literal["steps", "epochs"]]
"""How often an event happens."""


@dataclass(frozen=True)
class MethodFacts:
    """A method, which acts during a stage besides its update rule.

    - `acts`: on what, first of all.
    - `passes`: how many forward and backward passes it makes a step besides the usual one. It asks
      for them while gradients are there, so that one method alone of a stage may have some.
    - `every`: how often its event happens, or a function of its options that tells; None where it
      has no event.
    """

    acts: Part
    passes: int = 0
    every: Every | Callable[..., Every] | None = None

    def __post_init__(self) -> None:
        if self.acts not in get_args(Part):
            raise ValueError(
                f"acts: got {self.acts!r}, expected one of {', '.join(get_args(Part))}"
            )
        if type(self.passes) is not int or self.passes < 0:
            raise ValueError(f"passes: got {self.passes!r}, expected a whole number of at least 0")
        if self.every is not None and not callable(self.every):
            _require_every(self.every)

    def every_of(self, **options: object) -> Every | None:
        """How often the event of the method with these options happens; raises `ValueError`."""
        return _require_every(self.every(**options)) if callable(self.every) else self.every


def _require_every(found: Any) -> Every:
    sound = isinstance(found, tuple) and len(found) == 2 and type(found[0]) is int
    if not sound or found[0] < 1 or found[1] not in ("steps", "epochs"):
        raise ValueError(
            f"every: got {found!r}, expected a number of at least 1 and its unit, such as "
            "(1000, 'steps') or (10, 'epochs')"
        )
    return found  # type: ignore[no-any-return]
