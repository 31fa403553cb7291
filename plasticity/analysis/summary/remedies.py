"""The table of remedies: each arm of a figure against cold, and its cost; and all that was tried.

What a run costs are multiply-adds of its last stage: three forward passes a forward and backward
pass, as the latter is two, for every pass that `costs` counts. What pretraining cost is a number of
its own: it was done before the data arrived.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from plasticity.analysis import stats
from plasticity.analysis.storage import COUNT, FLAG, REAL, TEXT
from plasticity.analysis.summary.costs import alive, at_cold_cost, costs, passes_before
from plasticity.analysis.summary.roles import require_comparable, stages_of, with_roles
from plasticity.runs import Run
from plasticity.runs.roles import BOTH, COLD, COLD_LONG, WARM, arm_of, counterpart

LEVEL = 0.05
"""The chance that any interval of a column does not hold what it is about."""

FORWARD_PASSES = 3
"""What a forward and a backward pass cost together, in forward passes."""

REMEDIES = pa.schema(
    [
        ("role", TEXT),
        # Plain cold and warm have none.
        ("arm", TEXT),
        # From scratch, or the start of tuning; and in which stages methods or another rule act.
        ("begins", TEXT),
        ("acts", TEXT),
        # The stages of the runs, without data set, model and seed: of so many that were tried those
        # with the highest validation accuracy, where the fewest runs diverged.
        ("setting", TEXT),
        ("tried", COUNT),
        ("validation_accuracy", REAL),
        # `n` seeds, without those that diverged; a mean, its 95% t interval and the deviation.
        ("n", COUNT),
        ("diverged", COUNT),
        ("accuracy", REAL),
        ("deviation", REAL),
        ("low", REAL),
        ("high", REAL),
        # Cold minus this, paired by seed: intervals that hold together, over all rows with a gap
        # (Bonferroni), and p values of paired t tests, corrected by Holm.
        ("pairs", COUNT),
        ("gap", REAL),
        ("gap_low", REAL),
        ("gap_high", REAL),
        ("gap_p_value", REAL),
        # The same against the runs from scratch with the same methods and rule.
        ("own_cold", TEXT),
        ("own_gap", REAL),
        ("own_gap_low", REAL),
        ("own_gap_high", REAL),
        ("own_gap_p_value", REAL),
        # The mean accuracy by the time that it has cost as much as the seed's cold run, over the
        # seeds of which neither diverged and of which an epoch costs no more.
        ("accuracy_at_cold_cost", REAL),
        ("seeds_at_cold_cost", COUNT),
        # Means over seeds, of the last stage; and what came before it, without runs that diverged.
        ("steps", REAL),
        ("multiply_adds", REAL),
        ("pretrain_multiply_adds", REAL),
        ("seconds", REAL),
        # To the first epoch with the final accuracy of the seed's cold run: medians over the seeds
        # whose cold run did not diverge, `seeds_to_cold`, of which those that `never` have it count
        # as later than all others.
        ("steps_to_cold", REAL),
        ("multiply_adds_to_cold", REAL),
        ("seeds_to_cold", COUNT),
        ("never", COUNT),
    ]
)

TRIED = pa.schema(
    [
        ("role", TEXT),
        ("arm", TEXT),
        # By the order of the configuration, from 1 on.
        ("point", COUNT),
        ("chosen", FLAG),
        ("setting", TEXT),
        ("run", TEXT),
        ("seed", COUNT),
        ("diverged", FLAG),
        ("validation_accuracy", REAL),
        ("test_accuracy", REAL),
    ]
)


NO_EPOCHS = pd.DataFrame(columns=["epoch", "steps", "passes", "test_accuracy"], dtype=float)
"""What there is of a run that diverged."""


def tried(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs`, with their role, and what was tried of each role: `setting`, `point` and `chosen`.

    Of several settings of a role the one with the highest mean validation accuracy is chosen, among
    those of which the fewest runs diverged.
    """
    found = runs.copy()
    found["setting"] = found["run"].map(stages_of)
    found["point"], found["chosen"] = 1, True
    for _, role in found.groupby("role", sort=False):
        names = list(dict.fromkeys(role["setting"]))
        found.loc[role.index, "point"] = role["setting"].map(names.index) + 1
        if len(names) > 1:
            by_setting = role.groupby("setting", sort=False)
            dead = by_setting["diverged"].sum()
            best = by_setting["validation_accuracy"].mean().where(dead == dead.min()).fillna(-1.0)
            found.loc[role.index, "chosen"] = role["setting"] == best.idxmax()
    return found


@dataclass(frozen=True)
class Compared:
    """Differences of accuracies, a column of the table: before and after their correction."""

    gaps: Mapping[str, np.ndarray]

    def of(self, role: str) -> stats.PairedGap | None:
        """The gap of `role` with an interval and a p value that hold for all roles together."""
        if role not in self.gaps or not len(self.gaps[role]):
            return None
        return stats.mean_difference(self.gaps[role], confidence=1 - LEVEL / len(self.gaps))

    @cached_property
    def p_values(self) -> dict[str, float]:
        """By role, corrected by Holm; one that cannot be tested counts all the same."""
        raw = {role: found.p_value if (found := self.of(role)) else math.nan for role in self.gaps}
        tested = np.array([1.0 if math.isnan(p) else p for p in raw.values()])
        corrected = dict(zip(raw, stats.holm(tested), strict=True))
        return {role: math.nan if math.isnan(raw[role]) else corrected[role] for role in raw}

    def row(self, role: str, name: str) -> dict[str, float | None]:
        """The columns of `role`, each of which begins with `name`."""
        found = self.of(role)
        p_value = self.p_values[role] if found else math.nan
        mean, low, high = (found.mean, found.low, found.high) if found else [math.nan] * 3
        columns = {"": mean, "_low": low, "_high": high, "_p_value": p_value}
        return {f"{name}{end}": value for end, value in columns.items()}


@dataclass(frozen=True)
class Arms:
    """What was chosen of each role of a figure with arms, and what it is compared with.

    `chosen` has a row a run, by role in `by_role`; `accuracy` are final ones by role and seed,
    `gaps` and `own_gaps` those to cold and to cold with the same, which `own` names by role.
    `epochs` are those that were evaluated, with their costs, by run; `budgeted` are accuracies at
    the cost of cold and `before` the passes of an image before the last stage, by run as well.
    """

    by_role: Mapping[str, pd.DataFrame]
    accuracy: Mapping[str, pd.Series]
    own: Mapping[str, str]
    gaps: Compared
    own_gaps: Compared
    epochs: Mapping[str, pd.DataFrame]
    budgeted: pd.Series
    before: pd.Series

    @classmethod
    def of(cls, chosen: pd.DataFrame, curves: pd.DataFrame) -> Arms:
        """Those of the runs that were `chosen`, with their roles, and of all `curves`."""
        by_role = _by("role", chosen)
        accuracy = {
            role: alive(rows).set_index("seed")["test_accuracy"].sort_index()
            for role, rows in by_role.items()
        }
        own = {role: counterpart(role, accuracy) for role in accuracy if role.startswith(WARM)}
        return cls(
            by_role,
            accuracy,
            own,
            Compared(
                {r: _differences(accuracy[COLD], of) for r, of in accuracy.items() if r != COLD}
            ),
            Compared({r: _differences(accuracy[c], accuracy[r]) for r, c in own.items()}),
            _by("run", costs(chosen, curves)),
            at_cold_cost(chosen, curves),
            passes_before(alive(chosen)["run"], curves),
        )

    def row(self, role: str, image: float) -> dict[str, object]:
        """The row of `role` by `REMEDIES`, whose passes of an image cost `image` multiply-adds."""
        of, accuracy = self.by_role[role], self.accuracy[role]
        whole = alive(of)
        mean = stats.mean_difference(accuracy.to_numpy()) if len(accuracy) else None
        reached = _reached(of, self.accuracy[COLD], self.epochs)
        budgeted = self.budgeted.reindex(of["run"])
        ended = pd.DataFrame(
            [self.epochs[run].iloc[-1] for run in whole["run"]],
            columns=NO_EPOCHS.columns,
        )
        return {
            "role": role,
            "arm": arm_of(role),
            "begins": _begins(of["run"].iloc[0]),
            "acts": _acts(role, self.accuracy),
            "setting": of["setting"].iloc[0],
            "tried": of["tried"].iloc[0],
            "validation_accuracy": of["validation_accuracy"].mean(),
            "n": len(accuracy),
            "diverged": int(of["diverged"].sum()),
            **(_interval(mean) if mean else {}),
            "pairs": len(self.gaps.gaps.get(role, [])) or None,
            **(self.gaps.row(role, "gap") if role != COLD else {}),
            "own_cold": self.own.get(role),
            **(self.own_gaps.row(role, "own_gap") if role in self.own else {}),
            "accuracy_at_cold_cost": budgeted.mean(),
            "seeds_at_cold_cost": int(budgeted.count()),
            "steps": ended["steps"].mean(),
            "multiply_adds": ended["passes"].mean() * image,
            "pretrain_multiply_adds": self.before.reindex(whole["run"]).mean() * image,
            "seconds": whole["seconds"].mean(),
            "steps_to_cold": _median(reached["steps"]),
            "multiply_adds_to_cold": _median(reached["passes"] * image),
            "seeds_to_cold": len(reached),
            "never": int(np.isinf(reached["steps"]).sum()),
        }


def remedies_tables(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    roles: Mapping[str, list[str]],
    multiply_adds: float,
) -> tuple[pa.Table, pa.Table]:
    """The tables by `REMEDIES`, a row a role, and by `TRIED`, a row a run.

    Of the `runs` and `curves` of a figure with arms, whose runs play `roles`; `multiply_adds` are
    those of one image's forward pass. Raises `UserError` where runs are not comparable.
    """
    played, _ = with_roles(runs, curves, roles)
    require_comparable(played)
    every = tried(played)
    every["arm"] = every["role"].map(arm_of)
    every["tried"] = every.groupby("role")["point"].transform("max")
    arms = Arms.of(every[every["chosen"]], curves)
    rows = [_told(arms.row(role, FORWARD_PASSES * multiply_adds)) for role in arms.by_role]
    return (
        pa.Table.from_pylist(rows, schema=REMEDIES),
        pa.Table.from_pandas(every[TRIED.names], schema=TRIED, preserve_index=False),
    )


def _by(column: str, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of `table` by what stands in `column`, in its order."""
    return {str(value): rows for value, rows in table.groupby(column, sort=False)}


def _differences(cold: pd.Series, other: pd.Series) -> np.ndarray:
    """`cold` minus `other`, accuracies by seed, of the seeds that have both."""
    return (cold - other).dropna().to_numpy(dtype=np.float64)


def _interval(mean: stats.PairedGap) -> dict[str, float]:
    found = asdict(mean)
    return {
        "accuracy": found["mean"],
        "deviation": found["std"],
        "low": found["low"],
        "high": found["high"],
    }


def _begins(path: str) -> str:
    """From where the stages of a run begin but the first; empty where it has one."""
    later = Run.parse(path).stages[1:]
    return "+".join(dict.fromkeys(str(stage.start) for stage in later))


def _acts(role: str, roles: Mapping[str, object]) -> str:
    """In which stages methods or a rule act that plain runs do not have."""
    if not arm_of(role) or role == COLD_LONG or f"{COLD}-{arm_of(role)}" not in roles:
        return ""
    return "pretraining and tuning" if role.startswith(WARM) and role.endswith(BOTH) else "tuning"


def _reached(of: pd.DataFrame, cold: pd.Series, epochs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """When each run first has the final accuracy of `cold` of its seed: `steps` and `passes`.

    Infinite for a run that never has it. Without the seeds whose cold run diverged.
    """
    never: Mapping[str, float] = {"steps": math.inf, "passes": math.inf}
    found = []
    for run, seed in zip(of["run"], of["seed"], strict=True):
        if seed in cold.index:
            curve = epochs.get(run, NO_EPOCHS)
            there = curve[curve["test_accuracy"] >= cold[seed]][[*never]].to_dict("records")
            found.append(there[0] if there else never)
    return pd.DataFrame(found, columns=[*never], dtype=float)


def _median(values: pd.Series) -> float | None:
    """The median of `values`; None where it is that of runs that never got there, or of none."""
    middle = float(np.median(values)) if len(values) else math.inf
    return middle if math.isfinite(middle) else None


def _told(row: Mapping[str, object]) -> dict[str, object]:
    """`row` without numbers that are none."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }
