"""The table of gaps: from scratch against each warm start, over seeds."""

from __future__ import annotations

import math

import pandas as pd
import pyarrow as pa

from plasticity.analysis import stats
from plasticity.analysis.storage import COUNT, REAL, TEXT
from plasticity.analysis.summary.roles import require_comparable, stages_of
from plasticity.runs import Run

GAPS = pa.schema(
    [
        ("warm", TEXT),
        ("cold", TEXT),
        ("dataset", TEXT),
        ("model", TEXT),
        ("n", COUNT),
        ("seeds", TEXT),
        ("cold_accuracy", REAL),
        ("warm_accuracy", REAL),
        ("gap", REAL),
        ("deviation", REAL),
        ("low", REAL),
        ("high", REAL),
        ("p_value", REAL),
        # Runs of these pairs with a stage, pretraining too, that ended below 100% training
        # accuracy, which the paper presumes.
        ("below_full_train_accuracy", COUNT),
        # Runs of the setting, cold and warm, that diverged: `n` counts the pairs of neither.
        ("diverged", COUNT),
    ]
)


def gaps_table(runs: pd.DataFrame) -> pa.Table:
    """Cold minus warm final test accuracy, as fractions, paired by seed, with a 95% interval.

    A row of `GAPS` for each warm setting whose cold counterpart is in `runs` too: the same final
    stage from a fresh initialisation. A setting with one seed has a gap and no interval. A pair of
    which a run diverged is left out; where none is left there is no gap.
    """
    accuracy = runs.set_index("run")["test_accuracy"]
    full = runs.set_index("run")["reached_full_train_accuracy"]
    diverged = runs.set_index("run")["diverged"]
    # A sub-network, or a training that goes on where it was left, is no warm start.
    warm = runs[(runs["stages"] > 1) & (runs["density"] == 1) & (runs["begins"] == 0)].copy()
    warm["cold_run"] = [str(Run.parse(path).from_scratch) for path in warm["run"]]
    warm = warm[warm["cold_run"].isin(accuracy.index)]
    settings = ["history", "data", "views", "optimiser", "methods", "length", "start"]
    rows = []
    for _, group in warm.groupby(["dataset", "model", *settings], sort=False, dropna=False):
        require_comparable(runs[runs["run"].isin([*group["run"], *group["cold_run"]])])
        group = group.sort_values("seed")
        first = group.iloc[0]
        dead = int(diverged[[*group["run"], *group["cold_run"]]].sum())
        group = group[~(group["diverged"] | group["cold_run"].map(diverged))]
        cold = accuracy[group["cold_run"]].to_numpy()
        paired = (
            stats.paired_gap(cold, group["test_accuracy"].to_numpy())
            if len(group)
            else stats.PairedGap(0, *[math.nan] * 5)
        )
        rows.append(
            {
                "warm": stages_of(first["run"]),
                "cold": stages_of(first["cold_run"]),
                "dataset": first["dataset"],
                "model": first["model"],
                "n": paired.n,
                "seeds": " ".join(map(str, group["seed"])),
                "cold_accuracy": cold.mean() if len(cold) else math.nan,
                "warm_accuracy": group["test_accuracy"].mean(),
                "gap": paired.mean,
                "deviation": paired.std,
                "low": paired.low,
                "high": paired.high,
                "p_value": paired.p_value,
                "below_full_train_accuracy": int(
                    (~full[[*group["run"], *group["cold_run"]]]).sum()
                ),
                "diverged": dead,
            }
        )
    return pa.Table.from_pylist(rows, schema=GAPS)
