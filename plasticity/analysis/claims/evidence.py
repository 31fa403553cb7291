"""What a claim is, what it reads from a study's tables, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd

from plasticity.analysis.summary.roles import require_comparable, with_roles
from plasticity.core.errors import UserError

OBSERVED = ["run", "seed", "iteration", "quantity", "value"]
"""The columns of what is observed of a run besides its metrics."""


class NotJudgedError(Exception):
    """The tables do not hold what a claim needs; the message says what is missing."""


@dataclass(frozen=True)
class Evidence:
    """The tables of `plasticity.analysis.summary` with a column `role`, by the name of the figure.

    In the curves the role has no value where the epochs are those of pretraining. `observations`
    has the columns `OBSERVED` and `role`, for the figures that observe more than metrics.
    """

    runs: Mapping[str, pd.DataFrame]
    curves: Mapping[str, pd.DataFrame]
    observations: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        runs: pd.DataFrame,
        curves: pd.DataFrame,
        roles: Mapping[str, dict[str, list[str]]],
        observations: Mapping[str, pd.DataFrame] = MappingProxyType({}),
    ) -> Evidence:
        """Evidence from the tables of a whole study; `roles` is by figure, role and run.

        `observations` are by figure and need the columns `OBSERVED`; those of figures that have no
        roles, and of runs that play none in theirs, are left out.
        """
        joined = {name: with_roles(runs, curves, of) for name, of in roles.items()}
        return cls(
            {name: played for name, (played, _) in joined.items()},
            {name: epochs for name, (_, epochs) in joined.items()},
            {
                name: joined[name][0][["run", "role"]].merge(table[OBSERVED], on="run")
                for name, table in observations.items()
                if name in joined
            },
        )

    def played(self, figure: str, role: str) -> pd.DataFrame:
        """The runs of `figure` in exactly this `role`.

        A remedy of a user's has a role of its own and is no evidence. Raises `NotJudgedError` where
        there are none.
        """
        runs = self.runs[figure]
        found = runs[runs["role"] == role]
        if found.empty:
            raise NotJudgedError(f"{figure} has no runs in the role {role!r}")
        return found

    def diverged(self, figure: str) -> list[str]:
        """The runs of `figure` that diverged."""
        runs = self.runs[figure].drop_duplicates("run")
        return list(runs.loc[runs["diverged"].astype(bool), "run"])

    def observed(self, figure: str, role: str) -> pd.DataFrame:
        """What was observed of the runs of `figure` in exactly this `role`.

        Raises `NotJudgedError` where nothing was.
        """
        table = self.observations.get(figure)
        found = None if table is None else table[table["role"] == role]
        if found is None or found.empty:
            raise NotJudgedError(f"{figure} has no observations of runs in the role {role!r}")
        return found


@dataclass(frozen=True)
class Case:
    """One comparison: `values`, float [n], a value a seed, whose mean the claim says is above 0.

    `name` tells it from the other cases of its claim, `detail` is more that a reader wants to know.
    `gap`, float [m], is a gap in points, a value a seed, that must be there for the comparison to
    mean anything. Where the mean can be above 0 although the claim does not hold, `bound` is how
    far, and the claim asks for more. `resolution` is the least standard deviation that values of
    their kind are taken to have, whatever their scatter: whole numbers may agree in all seeds. A
    claim that something is so in at least one `arm` has the cases of each.
    """

    name: str
    values: np.ndarray
    detail: str = ""
    gap: np.ndarray | None = None
    bound: float = 0.0
    resolution: float = 0.0
    arm: str = ""


@dataclass(frozen=True)
class Contrast:
    """What a claim comes down to: that the mean of every one of `cases` is above its bound, 0.

    Or those of all that have one `arm`, for at least one arm, where cases have some. `runs` are the
    rows of the runs compared, those that diverged and are left out too.
    """

    cases: tuple[Case, ...]
    runs: pd.DataFrame

    @property
    def arms(self) -> list[list[int]]:
        """The places of the cases that must be shown together: one such group is enough."""
        return [
            [place for place, case in enumerate(self.cases) if case.arm == arm]
            for arm in dict.fromkeys(case.arm for case in self.cases)
        ]


@dataclass(frozen=True)
class Paper:
    """A paper, by what its claims are cited as.

    `presumes_fit` is whether it is about networks that fit their training data.
    """

    name: str
    title: str
    presumes_fit: bool


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    `effect` says what the values of its cases are, and `unit` in which unit. The claim is
    contradicted where the mean of a case is shown to be below `smallest`. `presumes` is what the
    gap is that its cases need to mean anything. A claim is `recalled` where no source at hand
    states it.
    """

    paper: Paper
    id: str
    statement: str
    figures: tuple[str, ...]
    effect: str
    unit: str
    smallest: float
    conjecture: bool
    recalled: bool
    presumes: str
    contrast: Callable[[Evidence], Contrast]

    def read(self, evidence: Evidence) -> Contrast:
        """The contrast that `evidence` holds.

        Raises `NotJudgedError` where it does not hold what the claim needs, `UserError` where runs
        that are to be compared are not comparable.
        """
        missing = [figure for figure in self.figures if figure not in evidence.runs]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise NotJudgedError(f"needs {', '.join(missing)}, which {verb} not among the targets")
        try:
            return self.contrast(evidence)
        except NotJudgedError as error:
            diverged = [run for name in self.figures for run in evidence.diverged(name)]
            if not diverged:
                raise
            raise NotJudgedError(
                f"{error}; diverged and left out: {len(diverged)} runs of {', '.join(self.figures)}"
            ) from None


class Claims(dict[str, Claim]):
    """Claims of one paper by id, in the order of their declaration."""

    def __init__(self, paper: Paper) -> None:
        super().__init__()
        self.paper = paper

    def declare(
        self,
        id: str,  # noqa: A002 (the word of the tables)
        statement: str,
        figures: tuple[str, ...],
        effect: str,
        *,
        unit: str = "points",
        smallest: float = 0.0,
        conjecture: bool = False,
        recalled: bool = False,
        presumes: str = "gap to close",
    ) -> Callable[[Callable[[Evidence], Contrast]], Callable[[Evidence], Contrast]]:
        """Declare the decorated function as what reads a claim from the tables."""

        def declared(function: Callable[[Evidence], Contrast]) -> Callable[[Evidence], Contrast]:
            if id in self:
                raise ValueError(f"claim {id} is declared twice")
            self[id] = Claim(
                paper=self.paper,
                id=id,
                statement=statement,
                figures=figures,
                effect=effect,
                unit=unit,
                smallest=smallest,
                conjecture=conjecture,
                recalled=recalled,
                presumes=presumes,
                contrast=function,
            )
            return function

        return declared


def points(runs: pd.DataFrame, *columns: str) -> pd.Series:
    """The final test accuracy of `runs` in per cent, by seed and `columns`.

    Runs that diverged have none. Raises `UserError` where two runs share seed and `columns`.
    """
    table = runs.drop_duplicates("run").set_index(["seed", *columns])
    if table.index.has_duplicates:
        raise UserError(
            "claims: several runs of one seed would be mixed, such as "
            f"{table[table.index.duplicated(keep=False)]['run'].iloc[0]}; they differ in more than "
            f"{', '.join(['role', *columns])}: give them roles of their own"
        )
    return table["test_accuracy"].mask(table["diverged"].astype(bool)).sort_index() * 100


def paired(
    name: str,
    values: pd.Series,
    detail: str = "",
    gap: np.ndarray | None = None,
    *,
    bound: float = 0.0,
    resolution: float = 0.0,
) -> Case:
    """A case of `values` by seed, without the seeds that lack one of the runs needed.

    Those of which one diverged are left out, too. Raises `NotJudgedError` where no seed is left.
    """
    values = values.dropna()
    if values.empty:
        where = f" for {name}" if name else ""
        raise NotJudgedError(f"no seed has all the runs that are compared{where}")
    return Case(name, values.to_numpy(dtype=np.float64), detail, gap, bound, resolution)


def compared(*tables: pd.DataFrame) -> pd.DataFrame:
    """The rows of all `tables`, each run once; raises `UserError` where they are not comparable."""
    runs = pd.concat(tables).drop_duplicates("run")
    require_comparable(runs)
    return runs
