"""The table of runs: a row a tuned run, with its factors and what its training measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from plasticity.analysis.storage import COUNT, FLAG, REAL, TEXT
from plasticity.runs import Run, Stage, ancestors, metrics
from plasticity.runs.metrics import final_epochs
from plasticity.runs.workload import start_passes

PERTURBATION = ("signs", "magnitudes", "scope", "deviations")
"""The columns that tell what was done to the weights of a ticket."""

FULL = 0.9995
"""The training accuracy from which a stage counts as fitting its data: 100.0% as it is printed. It
is taken over an epoch's batches before each update, where one example may be missed by chance."""

RUNS = pa.schema(
    [
        ("run", TEXT),
        ("dataset", TEXT),
        ("model", TEXT),
        ("depth", COUNT),
        ("width", COUNT),
        ("seed", COUNT),
        # The final stage, factor by factor.
        ("data", TEXT),
        ("views", TEXT),
        ("gamma", REAL),
        ("optimiser", TEXT),
        ("optimiser_name", TEXT),
        # What acts beside it (null where nothing does); how often a step evaluates loss and
        # gradient, for both; and the forward and backward passes, of a batch, that the start made.
        ("methods", TEXT),
        ("passes", COUNT),
        ("start_passes", COUNT),
        ("lr", REAL),
        ("momentum", REAL),
        ("weight_decay", REAL),
        ("batch", COUNT),
        # `epochs` and `iterations` are told by the clock of the stage, which begins at `begins`;
        # where it lasts until a training accuracy, they are the most.
        ("length", TEXT),
        ("epochs", COUNT),
        ("begins", COUNT),
        ("iterations", COUNT),
        ("start", TEXT),
        ("start_name", TEXT),
        ("reset_modules", TEXT),
        # What all of them are called, from the input to the output.
        ("modules", TEXT),
        # Tickets: the level of pruning, the fraction of weights left, what was done to these, and
        # by how much: the standard deviation of the change.
        ("level", COUNT),
        ("density", REAL),
        ("signs", TEXT),
        ("magnitudes", TEXT),
        ("scope", TEXT),
        ("deviations", REAL),
        ("perturbation", REAL),
        # What came before it.
        ("stages", COUNT),
        ("history", TEXT),
        ("parent", TEXT),
        ("pretrain_data", TEXT),
        ("pretrain_views", TEXT),
        ("ratio", REAL),
        ("pretrain_optimiser", TEXT),
        ("pretrain_optimiser_name", TEXT),
        ("pretrain_methods", TEXT),
        ("pretrain_lr", REAL),
        ("pretrain_momentum", REAL),
        ("pretrain_weight_decay", REAL),
        ("pretrain_batch", COUNT),
        ("pretrain_epochs", COUNT),
        ("pretrain_iterations", COUNT),
        ("pretrain_best_train_accuracy", REAL),
        # What came of it. Where the loss or a weight was no longer finite, in this stage or in one
        # before it, `diverged_step` is the step, by the clock of that stage, and there is no
        # accuracy: that of such a network is the share of the first class.
        ("diverged", FLAG),
        ("diverged_step", COUNT),
        ("test_accuracy", REAL),
        # Of what is held out (-v), as that of testing; hyperparameters are chosen by it.
        ("validation_accuracy", REAL),
        ("best_test_accuracy", REAL),
        ("last_test_accuracy", REAL),
        ("best_train_accuracy", REAL),
        ("final_train_accuracy", REAL),
        # On the clock of the stage.
        ("epochs_to_full_train_accuracy", COUNT),
        # What it took: the epochs that the stage itself trained, and whether it got to the training
        # accuracy that it lasts until; null where it has none.
        ("epochs_trained", COUNT),
        ("target_reached", FLAG),
        ("pretrain_epochs_trained", COUNT),
        # Of every stage, pretraining too, over its final epochs; and how many of `stages` lack it.
        ("reached_full_train_accuracy", FLAG),
        ("stages_below_full_train_accuracy", COUNT),
        ("training_examples", COUNT),
        ("parameters", COUNT),
        ("seconds", REAL),
        ("device", TEXT),
        ("precision", TEXT),
        ("torch", TEXT),
        ("code", TEXT),
        ("data_checksum", TEXT),
    ]
)


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
    def diverged_step(self) -> int | None:
        """The step at which it, or a stage before it, diverged; None where neither did.

        Metrics that do not say so are of a version that went on: found by their losses then, as
        the step that follows the last epoch with finite ones.
        """
        if "diverged_step" in self.about:
            step: int | None = self.about["diverged_step"]
            return step
        losses = [self.table[name].to_numpy() for name in ("train_loss", "test_loss")]
        dead = np.flatnonzero(~np.isfinite(losses).all(axis=0))
        if not len(dead):
            return None
        before = self.table["iteration"].to_numpy()[: dead[0]]
        return int(before[-1] if len(before) else self.about["begins"]) + 1

    @cached_property
    def best_train_accuracy(self) -> float | None:
        """The highest training accuracy of any epoch; None where it diverged."""
        if self.diverged_step is not None:
            return None
        return float(self.table["train_accuracy"].to_numpy().max())

    def reached(self, percent: float | None) -> bool | None:
        """Whether the training accuracy of its last epoch is at least so many `percent`, if any."""
        if percent is None:
            return None
        accuracy = self.table["train_accuracy"].to_numpy()
        return self.diverged_step is None and bool(metrics.reaches(accuracy[-1], percent))

    def final(self, column: str) -> float | None:
        """The mean of `column` over the final epochs of the stage; None where it diverged."""
        if self.diverged_step is not None:
            return None
        return final_accuracy(self.table[column].to_numpy(), self.table["epoch"].to_numpy())

    def final_if_measured(self, column: str) -> float | None:
        """The same; None also where `column` was not measured."""
        return None if self.table[column].null_count == len(self.table) else self.final(column)

    @cached_property
    def fits(self) -> bool:
        """Whether the training accuracy of the final epochs is 100%, as it is printed."""
        accuracy = self.final("train_accuracy")
        return accuracy is not None and accuracy >= FULL


def describe_run(
    run: Run, measured: Measured, before: Sequence[Measured | None]
) -> dict[str, object]:
    """The row of `RUNS` for a tuned `run`, `measured`; `before` are the stages before its last.

    Accuracies are fractions in 0 .. 1; `test_accuracy` and `final_train_accuracy` are means over
    the last fifth of the epochs. A run that diverged has none. A stage whose measurements are None
    counts as one that is below full training accuracy.
    """
    table, about = measured.table, measured.about
    test = table["test_accuracy"].to_numpy()
    full = table["epoch"].to_numpy()[table["train_accuracy"].to_numpy() >= FULL]
    parent = before[-1] if before else None
    unfitted = sum(one is None or not one.fits for one in (*before, measured))
    optimiser, start = run.stage.optimiser, run.stage.start
    pretrain = run.parent.stage if run.parent else None
    diverged = measured.diverged_step is not None
    # Metrics of an earlier version do not say.
    modules = about.get("modules") or run.model.facts.names(**run.model.own)
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
        "methods": _methods(run.stage),
        "passes": run.stage.passes,
        "start_passes": start_passes(run),
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
        "modules": ", ".join(modules or ()) or None,
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
        "pretrain_methods": _methods(pretrain) if pretrain else None,
        **{
            f"pretrain_{name}": pretrain.optimiser.options.get(name) if pretrain else None
            for name in ("lr", "momentum", "weight_decay", "batch")
        },
        "pretrain_epochs": pretrain.length.epochs if pretrain else 0,
        "pretrain_iterations": (parent.about["ends"] if parent else None if pretrain else 0),
        "pretrain_best_train_accuracy": parent.best_train_accuracy if parent else None,
        "diverged": diverged,
        "diverged_step": measured.diverged_step,
        "test_accuracy": measured.final("test_accuracy"),
        "validation_accuracy": measured.final_if_measured("validation_accuracy"),
        "best_test_accuracy": None if diverged else np.nanmax(test),
        "last_test_accuracy": None if diverged else test[-1],
        "best_train_accuracy": measured.best_train_accuracy,
        "final_train_accuracy": measured.final("train_accuracy"),
        "epochs_to_full_train_accuracy": int(full[0]) if len(full) else None,
        "epochs_trained": len(table),
        "target_reached": measured.reached(run.stage.length.percent),
        "pretrain_epochs_trained": len(parent.table) if parent else None if pretrain else 0,
        "reached_full_train_accuracy": not unfitted,
        "stages_below_full_train_accuracy": unfitted,
        "training_examples": about["training_examples"],
        "parameters": about["parameters"],
        "seconds": table["seconds"].to_numpy().sum(),
        **{key: about[key] for key in ("device", "precision", "torch", "code", "data_checksum")},
    }


def _views(stage: Stage) -> str:
    """How `stage` sees its examples; empty where it sees them as they are."""
    return "+".join(map(str, stage.transforms))


def _methods(stage: Stage) -> str | None:
    """What acts beside the update rule of `stage`; None where nothing does."""
    return "+".join(map(str, stage.methods)) or None


def final_accuracy(accuracy: np.ndarray, epochs: np.ndarray) -> float:
    """The mean of `accuracy`, float [n], over the last fifth of the clock of `epochs`, int [n].

    Of the epochs that were trained: a stage that stops early has its window before that.

    A stage that goes on from where the one before left off thus has the final epochs of the
    uninterrupted one, or those of them that it trained.
    """
    last = int(epochs[-1])
    return float(accuracy[epochs > last - final_epochs(last)].mean())


def runs_table(
    tuned: Mapping[Run, Measured], pretrained: Mapping[Run, Measured] = MappingProxyType({})
) -> pa.Table:
    """A row of `RUNS` for each run of `tuned`.

    What is told of pretraining comes from the runs of `pretrained`, where they are given.
    """
    rows = [
        describe_run(run, measured, [pretrained.get(one) for one in ancestors([run])])
        for run, measured in tuned.items()
    ]
    return pa.Table.from_pylist(rows, schema=RUNS)
