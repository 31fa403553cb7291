"""The table of remedies: each arm of a figure against cold, and its cost; and all that was tried.

What a run costs are multiply-adds of its last stage: three forward passes a forward and backward
pass, as the latter is two, for every pass of its rule, its methods and its start. What pretraining
cost is a number of its own: it was done before the data arrived.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from plasticity.analysis import stats
from plasticity.analysis.storage import COUNT, FLAG, REAL, TEXT
from plasticity.analysis.summary.roles import require_comparable, with_roles
from plasticity.runs import Run, ancestors
from plasticity.runs.metrics import FINAL_PART
from plasticity.runs.roles import BOTH, COLD, COLD_LONG, WARM, arm_of, counterpart
from plasticity.runs.workload import start_passes

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
        # The mean accuracy by the time that it has cost as much as the seed's cold run.
        ("accuracy_at_cold_cost", REAL),
        # Means over seeds, of the last stage; and what came before it.
        ("steps", REAL),
        ("multiply_adds", REAL),
        ("pretrain_multiply_adds", REAL),
        ("seconds", REAL),
        # To the first epoch with the final accuracy of the seed's cold run: medians over seeds, of
        # which those that never have it count as later than all others.
        ("steps_to_cold", REAL),
        ("multiply_adds_to_cold", REAL),
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
    found["setting"] = [
        run.replace(f"/seed{seed}/", "/", 1)
        for run, seed in zip(found["run"], found["seed"], strict=True)
    ]
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


def costs(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The evaluated epochs of `runs`: with `steps` that were made and `passes` of an image so far.

    A pass is forward and backward. What a start passes over, it does before the first epoch.
    """
    columns = ["run", "begins", "batch", "passes", "start_batches"]
    about = runs[columns].drop_duplicates("run").set_index("run")
    tuning = curves[(curves["kind"] == "tune") & curves["run"].isin(about.index)]
    table = tuning[["run", "epoch", "iteration", "test_accuracy"]].drop_duplicates(["run", "epoch"])
    table = table[table["test_accuracy"].notna()].join(about, on="run")
    table["steps"] = table["iteration"] - table["begins"]
    batches = table["steps"] * table["passes"] + table["start_batches"]
    return table.assign(passes=batches * table["batch"])[
        ["run", "epoch", "steps", "passes", "test_accuracy"]
    ].sort_values(["run", "epoch"])


def accuracy_by(epochs: pd.DataFrame, most: pd.Series) -> pd.Series:
    """The final test accuracy of runs of which only the `epochs` count that so many passes pay for.

    Over the last fifth of these, as that of a whole run. `most` is by run, as is what is returned;
    a run that has no such epoch is left out.
    """
    paid = epochs[epochs["passes"] <= epochs["run"].map(most)]
    last = paid.groupby("run")["epoch"].transform("max")
    window = (last // FINAL_PART).clip(lower=1)
    return paid[paid["epoch"] > last - window].groupby("run")["test_accuracy"].mean()


def at_cold_cost(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.Series:
    """The accuracy of each of `runs` at the cost of the cold run of its seed, by run.

    Of what was chosen, without runs that diverged; not a number where that of cold did.
    """
    alive = runs[~runs["diverged"].astype(bool)]
    epochs = costs(alive, curves)
    spent = epochs.groupby("run")["passes"].max()
    cold = alive[alive["role"] == COLD].set_index("seed")["run"].map(spent)
    every = alive.drop_duplicates("run").set_index("run")["seed"]
    return accuracy_by(epochs, every.map(cold)).reindex(every.index)


@dataclass(frozen=True)
class Compared:
    """Differences of accuracies, a column of the table: before and after their correction."""

    gaps: Mapping[str, np.ndarray]

    def of(self, role: str) -> stats.PairedGap | None:
        """The gap of `role` with an interval and a p value that hold for all roles together."""
        if role not in self.gaps or not len(self.gaps[role]):
            return None
        return stats.mean_difference(self.gaps[role], confidence=1 - LEVEL / len(self.gaps))

    def p_values(self) -> dict[str, float]:
        """By role, corrected by Holm; one that cannot be tested counts all the same."""
        raw = {role: found.p_value if (found := self.of(role)) else math.nan for role in self.gaps}
        tested = np.array([1.0 if math.isnan(p) else p for p in raw.values()])
        corrected = dict(zip(raw, stats.holm(tested), strict=True))
        return {role: math.nan if math.isnan(raw[role]) else corrected[role] for role in raw}

    def row(self, role: str, name: str) -> dict[str, float | None]:
        """The columns of `role`, each of which begins with `name`."""
        found = self.of(role)
        p_value = self.p_values()[role] if found else math.nan
        mean, low, high = (found.mean, found.low, found.high) if found else [math.nan] * 3
        columns = {"": mean, "_low": low, "_high": high, "_p_value": p_value}
        return {f"{name}{end}": value for end, value in columns.items()}


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
    chosen = every[every["chosen"]]
    accuracy = {
        role: rows[~rows["diverged"].astype(bool)].set_index("seed")["test_accuracy"].sort_index()
        for role, rows in _by("role", chosen).items()
    }
    own = {role: counterpart(role, accuracy) for role in accuracy if role.startswith(WARM)}
    gaps = Compared(
        {r: _differences(accuracy[COLD], of) for r, of in accuracy.items() if r != COLD}
    )
    own_gaps = Compared({r: _differences(accuracy[c], accuracy[r]) for r, c in own.items()})
    image = FORWARD_PASSES * multiply_adds
    epochs = _by("run", costs(chosen, curves))
    budgeted = at_cold_cost(chosen, curves)
    rows = []
    for role, of in _by("role", chosen).items():
        mean = stats.mean_difference(accuracy[role].to_numpy()) if len(accuracy[role]) else None
        reached = _reached(of, accuracy[COLD], epochs)
        ended = [epochs[run].iloc[-1] for run in of["run"] if run in epochs]
        rows.append(
            {
                "role": role,
                "arm": arm_of(role),
                "begins": _begins(of["run"].iloc[0]),
                "acts": _acts(role, accuracy),
                "setting": of["setting"].iloc[0].split("/", 2)[2],
                "tried": every.loc[every["role"] == role, "point"].max(),
                "validation_accuracy": of["validation_accuracy"].mean(),
                "n": len(accuracy[role]),
                "diverged": int(of["diverged"].sum()),
                **(_interval(mean) if mean else {}),
                "pairs": len(gaps.gaps.get(role, [])) or None,
                **(gaps.row(role, "gap") if role != COLD else {}),
                "own_cold": own.get(role),
                **(own_gaps.row(role, "own_gap") if role in own else {}),
                "accuracy_at_cold_cost": budgeted.reindex(of["run"]).mean(),
                "steps": np.mean([one["steps"] for one in ended]) if ended else None,
                "multiply_adds": np.mean([one["passes"] for one in ended]) * image
                if ended
                else None,
                "pretrain_multiply_adds": _before(of["run"], curves) * image,
                "seconds": of["seconds"].mean(),
                "steps_to_cold": _median(reached["steps"]),
                "multiply_adds_to_cold": _median(reached["passes"] * image),
                "never": int(np.isinf(reached["steps"]).sum()),
            }
        )
    return (
        pa.Table.from_pylist([_told(row) for row in rows], schema=REMEDIES),
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


def _before(paths: pd.Series, curves: pd.DataFrame) -> float:
    """The passes of an image in all stages before the last, on average over the runs of `paths`."""
    earlier = curves[curves["kind"] == "pretrain"]
    steps = earlier.groupby("run")["iteration"].max()
    found = []
    for path in paths:
        found.append(
            sum(
                (steps[str(one)] * one.stage.passes + start_passes(one))
                * one.stage.optimiser.options["batch"]
                for one in ancestors([Run.parse(path)])
            )
        )
    return float(np.mean(found))


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
