"""From metrics files to tidy tables: a row a run, a row an epoch, a row a gap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from plasticity.analysis import stats
from plasticity.core import tables
from plasticity.core.errors import UserError
from plasticity.runs import Run, Stage, metrics

FINAL_SHARE = 5
"""The final accuracy is the mean over the last fifth of tuning: the last 100 of 500 epochs, as in
Berariu et al., section 2, and in proportion where a study is shorter."""

FULL = 0.9995
"""The training accuracy from which a run counts as fitting its data: 100.0% as it is printed. It
is taken over an epoch's batches before each update, where one example may be missed by chance."""

_TEXT, _COUNT, _REAL, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

RUNS = pa.schema(
    [
        ("run", _TEXT),
        ("dataset", _TEXT),
        ("model", _TEXT),
        ("depth", _COUNT),
        ("width", _COUNT),
        ("seed", _COUNT),
        # The final stage, factor by factor.
        ("data", _TEXT),
        ("views", _TEXT),
        ("gamma", _REAL),
        ("optimiser", _TEXT),
        ("optimiser_name", _TEXT),
        ("lr", _REAL),
        ("momentum", _REAL),
        ("weight_decay", _REAL),
        ("batch", _COUNT),
        # `epochs` and `iterations` are told by the clock of the stage, which begins at `begins`.
        ("length", _TEXT),
        ("epochs", _COUNT),
        ("begins", _COUNT),
        ("iterations", _COUNT),
        ("start", _TEXT),
        ("start_name", _TEXT),
        ("reset_modules", _TEXT),
        # Tickets: the level of pruning, the share of weights left, what was done to these, and by
        # how much: the standard deviation of the change.
        ("level", _COUNT),
        ("density", _REAL),
        ("signs", _TEXT),
        ("magnitudes", _TEXT),
        ("scope", _TEXT),
        ("deviations", _REAL),
        ("perturbation", _REAL),
        # What came before it.
        ("stages", _COUNT),
        ("history", _TEXT),
        ("parent", _TEXT),
        ("pretrain_data", _TEXT),
        ("pretrain_views", _TEXT),
        ("ratio", _REAL),
        ("pretrain_optimiser", _TEXT),
        ("pretrain_optimiser_name", _TEXT),
        ("pretrain_lr", _REAL),
        ("pretrain_momentum", _REAL),
        ("pretrain_weight_decay", _REAL),
        ("pretrain_batch", _COUNT),
        ("pretrain_epochs", _COUNT),
        ("pretrain_iterations", _COUNT),
        ("pretrain_best_train_accuracy", _REAL),
        # What came of it.
        ("test_accuracy", _REAL),
        ("best_test_accuracy", _REAL),
        ("last_test_accuracy", _REAL),
        ("best_train_accuracy", _REAL),
        ("final_train_accuracy", _REAL),
        ("epochs_to_full_train_accuracy", _COUNT),
        ("reached_full_train_accuracy", _FLAG),
        ("training_examples", _COUNT),
        ("parameters", _COUNT),
        ("seconds", _REAL),
        ("device", _TEXT),
        ("precision", _TEXT),
        ("torch", _TEXT),
        ("code", _TEXT),
        ("data_checksum", _TEXT),
    ]
)
CURVES = pa.schema(
    [("run", _TEXT), ("kind", _TEXT), ("seed", _COUNT), *((f.name, f.type) for f in metrics.SCHEMA)]
)
GAPS = pa.schema(
    [
        ("warm", _TEXT),
        ("cold", _TEXT),
        ("dataset", _TEXT),
        ("model", _TEXT),
        ("n", _COUNT),
        ("seeds", _TEXT),
        ("cold_accuracy", _REAL),
        ("warm_accuracy", _REAL),
        ("gap", _REAL),
        ("deviation", _REAL),
        ("low", _REAL),
        ("high", _REAL),
        ("p_value", _REAL),
        # Runs of these pairs that never reached 100% training accuracy, which the paper presumes.
        ("below_full_train_accuracy", _COUNT),
    ]
)


ROWS_AT_ONCE = 500_000
"""About so many epochs of curves are held as rows: each repeats the path of its run."""


@dataclass(frozen=True)
class Measured:
    """What a metrics file holds: its table, an epoch a row, and what it says about its run."""

    table: pa.Table
    about: Mapping[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> Measured:
        """What is in `path`; raises `UserError`."""
        return cls(*metrics.read(path))

    @cached_property
    def best_train_accuracy(self) -> float:
        """The highest training accuracy of any epoch."""
        return float(self.table["train_accuracy"].to_numpy().max())


def describe_run(run: Run, measured: Measured, parent: Measured | None) -> dict[str, object]:
    """The row of `RUNS` for a tuned `run`, of which and of whose parent this was `measured`.

    Accuracies are shares in 0 .. 1; `test_accuracy` and `final_train_accuracy` are means over the
    last fifth of the epochs.
    """
    table, about = measured.table, measured.about
    test = table["test_accuracy"].to_numpy()
    train = table["train_accuracy"].to_numpy()
    full = np.flatnonzero(train >= FULL)
    optimiser, start = run.stage.optimiser, run.stage.start
    pretrain = run.parent.stage if run.parent else None
    return {
        "run": str(run),
        "dataset": str(run.dataset),
        "model": str(run.model),
        # A named architecture, such as resnet18, states its size as a fact.
        "depth": run.model.options.get("depth", run.model.facts.depth),
        "width": run.model.options.get("width", run.model.facts.width),
        "seed": run.seed,
        "data": str(run.stage.data),
        "views": _views(run.stage),
        "gamma": run.stage.data.options.get("gamma"),
        "optimiser": str(optimiser),
        "optimiser_name": optimiser.member.name,
        "lr": optimiser.options.get("lr"),
        "momentum": optimiser.options.get("momentum"),
        "weight_decay": optimiser.options.get("weight_decay"),
        "batch": optimiser.options["batch"],
        "length": str(run.stage.length),
        "epochs": run.stage.length.epochs,
        "begins": about["begins"],
        "iterations": about["ends"],
        "start": str(start),
        "start_name": start.member.name,
        "reset_modules": "+".join(map(str, start.options.get("modules", ()))) or None,
        **{name: start.options.get(name) for name in ("level", "signs", "magnitudes", "scope")},
        "deviations": start.options.get("std"),
        "density": about["density"],
        "perturbation": about["perturbation"],
        "stages": len(run.stages),
        "history": "/".join(map(str, run.stages[:-1])),
        "parent": str(run.parent) if run.parent else None,
        "pretrain_data": str(pretrain.data) if pretrain else None,
        "pretrain_views": _views(pretrain) if pretrain else None,
        "ratio": pretrain.data.options.get("ratio") if pretrain else None,
        "pretrain_optimiser": str(pretrain.optimiser) if pretrain else None,
        "pretrain_optimiser_name": pretrain.optimiser.member.name if pretrain else None,
        **{
            f"pretrain_{name}": pretrain.optimiser.options.get(name) if pretrain else None
            for name in ("lr", "momentum", "weight_decay", "batch")
        },
        "pretrain_epochs": pretrain.length.epochs if pretrain else 0,
        "pretrain_iterations": (
            int(parent.table["iteration"].to_numpy()[-1]) if parent else None if pretrain else 0
        ),
        "pretrain_best_train_accuracy": parent.best_train_accuracy if parent else None,
        "test_accuracy": final_accuracy(test),
        "best_test_accuracy": test.max(),
        "last_test_accuracy": test[-1],
        "best_train_accuracy": measured.best_train_accuracy,
        "final_train_accuracy": final_accuracy(train),
        "epochs_to_full_train_accuracy": int(full[0]) + 1 if len(full) else None,
        "reached_full_train_accuracy": bool(len(full)),
        "training_examples": about["training_examples"],
        "parameters": about["parameters"],
        "seconds": table["seconds"].to_numpy().sum(),
        **{key: about[key] for key in ("device", "precision", "torch", "code", "data_checksum")},
    }


def _views(stage: Stage) -> str:
    """How `stage` sees its examples; empty where it sees them as they are."""
    return "+".join(map(str, stage.transforms))


def final_accuracy(accuracy: np.ndarray) -> float:
    """The mean of `accuracy`, one value an epoch, over the last fifth of the epochs."""
    window = max(1, len(accuracy) // FINAL_SHARE)
    return float(accuracy[-window:].mean())


def runs_table(
    tuned: Mapping[Run, Measured], pretrained: Mapping[Run, Measured] = MappingProxyType({})
) -> pa.Table:
    """A row of `RUNS` for each run of `tuned`.

    What is told of pretraining comes from the runs of `pretrained`, where they are given.
    """
    rows = [
        describe_run(run, measured, pretrained.get(run.parent) if run.parent else None)
        for run, measured in tuned.items()
    ]
    return pa.Table.from_pylist(rows, schema=RUNS)


def curves(tuned: Mapping[Run, Measured], pretrained: Mapping[Run, Measured]) -> Iterator[pa.Table]:
    """Every epoch of every run, by `CURVES`, in pieces; `kind` is ``tune`` or ``pretrain``."""
    waiting: list[pa.Table] = []
    rows = 0
    for kind, runs in (("pretrain", pretrained), ("tune", tuned)):
        for run, measured in runs.items():
            waiting.append(_curve(run, kind, measured.table))
            rows += len(measured.table)
            if rows >= ROWS_AT_ONCE:
                yield pa.concat_tables(waiting)
                waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _curve(run: Run, kind: str, table: pa.Table) -> pa.Table:
    constant = {"run": str(run), "kind": kind, "seed": run.seed}
    columns = {name: pa.repeat(value, len(table)) for name, value in constant.items()}
    return pa.table({**columns, **{n: table[n] for n in table.column_names}}).cast(CURVES)


def with_roles(
    runs: pd.DataFrame, curves: pd.DataFrame, roles: Mapping[str, list[str]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A figure's `runs` and `curves` with a column `role`; `roles` gives the runs of each.

    The runs come in the order of the roles, and one that plays two roles comes twice. In the
    curves the role has no value where the epochs are those of pretraining.
    """
    played = pd.DataFrame(
        [("tune", role, run) for role, paths in roles.items() for run in paths],
        columns=["kind", "role", "run"],
    )
    return (
        played.drop(columns="kind").merge(runs, on="run", how="left"),
        curves.merge(played, on=["run", "kind"], how="left"),
    )


def observations_table(paths: Iterable[str | Path]) -> pa.Table:
    """What was observed of several runs, in one table; raises `UserError` for what is none."""
    found: list[pa.Table] = []
    for path in paths:
        schema = found[0].schema if found else None
        found.append(tables.load(path, schema, "table", "delete it and run again to make it anew"))
    return pa.concat_tables(found)


def gaps_table(runs: pd.DataFrame) -> pa.Table:
    """Cold minus warm final test accuracy, in shares, paired by seed, with a 95% interval.

    A row of `GAPS` for each warm setting whose cold counterpart is in `runs` too: the same final
    stage from a fresh initialisation. A setting with one seed has a gap and no interval.
    """
    accuracy = runs.set_index("run")["test_accuracy"]
    full = runs.set_index("run")["reached_full_train_accuracy"]
    # A sub-network, or a training that goes on where it was left, is no warm start.
    warm = runs[(runs["stages"] > 1) & (runs["density"] == 1) & (runs["begins"] == 0)].copy()
    warm["cold_run"] = [str(Run.parse(path).from_scratch) for path in warm["run"]]
    warm = warm[warm["cold_run"].isin(accuracy.index)]
    keys = ["dataset", "model", "history", "data", "views", "optimiser", "length", "start"]
    rows = []
    for _, group in warm.groupby(keys, sort=False):
        require_comparable(runs[runs["run"].isin([*group["run"], *group["cold_run"]])])
        group = group.sort_values("seed")
        first = group.iloc[0]
        cold = accuracy[group["cold_run"]].to_numpy()
        paired = stats.paired_gap(cold, group["test_accuracy"].to_numpy())
        rows.append(
            {
                "warm": _without_place(first["run"]),
                "cold": _without_place(first["cold_run"]),
                "dataset": first["dataset"],
                "model": first["model"],
                "n": paired.n,
                "seeds": " ".join(map(str, group["seed"])),
                "cold_accuracy": cold.mean(),
                "warm_accuracy": group["test_accuracy"].mean(),
                "gap": paired.mean,
                "deviation": paired.deviation,
                "low": paired.low,
                "high": paired.high,
                "p_value": paired.p_value,
                "below_full_train_accuracy": int(
                    (~full[[*group["run"], *group["cold_run"]]]).sum()
                ),
            }
        )
    return pa.Table.from_pylist(rows, schema=GAPS)


def require_comparable(runs: pd.DataFrame) -> None:
    """Raise `UserError` where `runs`, about to be compared, differ in data set or arithmetic."""
    for column in ("data_checksum", "precision", "device"):
        values = runs.groupby(column)["run"].first()
        if len(values) > 1:
            found = "; ".join(f"{value}: {run}" for value, run in values.items())
            raise UserError(
                f"runs that are to be compared differ in {column} ({found}); delete the results of "
                "one kind and run again"
            )


def _without_place(path: str) -> str:
    """The stages of a lineage path, without data set, model and seed."""
    return "/".join(path.split("/")[3:])


def write_table(path: str | Path, table: pa.Table) -> None:
    """Write `table`, whole or not at all."""
    tables.write_pieces(path, table.schema, [table])


def gaps_page(gaps: pd.DataFrame, study: str) -> str:
    """The gaps as a page of HTML for the report, accuracies in per cent."""
    shown = pd.DataFrame(
        {
            "data set": gaps["dataset"],
            "network": gaps["model"],
            "warm": gaps["warm"],
            "n": gaps["n"],
            "cold / %": (gaps["cold_accuracy"] * 100).round(2),
            "warm / %": (gaps["warm_accuracy"] * 100).round(2),
            "gap / points": (gaps["gap"] * 100).round(2),
            "deviation": [f"{d * 100:.2f}" if d == d else "" for d in gaps["deviation"]],
            "95% interval": [
                f"{low * 100:.2f} to {high * 100:.2f}" if low == low else "one seed: none"
                for low, high in zip(gaps["low"], gaps["high"], strict=True)
            ],
            "runs below 100% train": gaps["below_full_train_accuracy"],
            "p (t test)": gaps["p_value"].map(lambda p: f"{p:.2g}" if p == p else ""),
        }
    )
    table = shown.to_html(index=False, border=0, float_format="{:.2f}".format)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Generalisation gaps: {study}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #222; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: right; padding: .3em .8em; border-bottom: 1px solid #ddd; }}
th:nth-child(-n+3), td:nth-child(-n+3) {{ text-align: left; }}
td:nth-child(3) {{ font-family: ui-monospace, monospace; font-size: 12px; }}
</style>
<h1>Generalisation gaps: {study}</h1>
<p>Final test accuracy from scratch (cold) minus that of the warm start, paired by seed; the final
accuracy is the mean over the last fifth of tuning. n counts the seeds; deviation is the standard
deviation of the gap over seeds; the interval and the two-sided p value are those of a paired t
test, not corrected for the number of rows. A positive gap means that the warm start generalises
worse. The paper presumes that every run fits its training data: the column before the last counts
the runs of a row, cold and warm, whose training accuracy never reached 100%.</p>
{table}
</html>
"""
