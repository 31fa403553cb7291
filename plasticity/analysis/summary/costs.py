"""What runs cost, in passes of an image forward and backward: of rule, methods and start."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from plasticity.runs import Run, ancestors
from plasticity.runs.metrics import FINAL_PART
from plasticity.runs.roles import COLD
from plasticity.runs.workload import start_passes


def alive(runs: pd.DataFrame) -> pd.DataFrame:
    """Those of `runs` that did not diverge."""
    return runs[~runs["diverged"].astype(bool)]


def costs(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The evaluated epochs of `runs`: with `steps` that were made and `passes` of an image so far.

    A pass is forward and backward. What a start passes over, it does before the first epoch.
    """
    columns = ["run", "begins", "batch", "passes", "start_passes"]
    about = runs[columns].drop_duplicates("run").set_index("run")
    tuning = curves[(curves["kind"] == "tune") & curves["run"].isin(about.index)]
    table = tuning[["run", "epoch", "iteration", "test_accuracy"]].drop_duplicates(["run", "epoch"])
    table = table[table["test_accuracy"].notna()].join(about, on="run")
    table["steps"] = table["iteration"] - table["begins"]
    batches = table["steps"] * table["passes"] + table["start_passes"]
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
    whole = alive(runs)
    epochs = costs(whole, curves)
    spent = epochs.groupby("run")["passes"].max()
    cold = whole[whole["role"] == COLD].set_index("seed")["run"].map(spent)
    every = whole.drop_duplicates("run").set_index("run")["seed"]
    return accuracy_by(epochs, every.map(cold)).reindex(every.index)


def passes_before(paths: Iterable[str], curves: pd.DataFrame) -> pd.Series:
    """The passes of an image in all stages before the last of the runs of `paths`, by run.

    None of the runs diverged: a stage that did, or follows one that did, may have no epochs.
    """
    ends = curves[curves["kind"] == "pretrain"].groupby("run")["iteration"].max()

    def passes(run: Run) -> int:
        # Where a stage goes on with the clock of the one before, it begins at the end of that.
        goes_on = run.stage.length.unit == "till"
        steps = ends[str(run)] - (ends[str(run.parent)] if goes_on else 0)
        each = steps * run.stage.passes + start_passes(run)
        return int(each * run.stage.optimiser.options["batch"])

    total = {path: sum(map(passes, ancestors([Run.parse(path)]))) for path in dict.fromkeys(paths)}
    return pd.Series(total, dtype=float)
