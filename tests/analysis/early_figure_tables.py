"""Tables of made studies for the figures of the early phase."""

from dataclasses import replace

import pandas as pd
import pyarrow as pa

from plasticity.analysis.figures import Tables
from plasticity.analysis.summary.curves import CURVES
from plasticity.analysis.summary.runs import RUNS

LABELS = {
    "dense": "whole network",
    "start": "set back to the initialisation",
    "rewound": "set back to",
    "unchanged": "set back to k",
    "mixed": "signs and magnitudes from elsewhere",
    "shuffled": "shuffled",
    "signshuffled": "shuffled among equal signs",
    "noisy": "noise",
    "random": "pruned at random",
    "pretrained": "pretrained",
}


class Made:
    """Tables of a study that nobody ran, by the schemas of `analysis.summary`."""

    def __init__(self, dataset="digits-clutter", model="resnet20-w4"):
        self.place = {"dataset": dataset, "model": model}
        self.runs, self.roles, self.observed = {}, {}, []

    def add(self, role, seed, accuracy, **columns):
        """A run, named by its columns, and that name."""
        told = "-".join(f"{value}" for value in columns.values())
        run = f"{'/'.join(self.place.values())}/seed{seed}/{role}-{told}"
        self.roles.setdefault(role, []).append(run)
        about = {"begins": 0, "density": 1.0, "perturbation": 0.0, "length": "e160", "stages": 1}
        self.runs[run] = {
            **dict.fromkeys(RUNS.names),
            **self.place,
            **about,
            **columns,
            "run": run,
            "seed": seed,
            "test_accuracy": accuracy,
            "diverged": False,
        }
        return run

    def over_seeds(self, role, seeds, accuracy, **columns):
        """Runs whose accuracy rises by two points with the seed."""
        for seed in seeds:
            self.add(role, seed, accuracy + 0.02 * seed, **columns)

    def observe(self, run, **values):
        self.observed.append({"run": run, **values})

    def tables(self, observations=None):
        return Tables.of(
            title="A title",
            runs=pa.Table.from_pylist(list(self.runs.values()), schema=RUNS).to_pandas(),
            curves=CURVES.empty_table().to_pandas(),
            roles=self.roles,
            labels={role: LABELS[role] for role in self.roles},
            observations=pd.DataFrame(self.observed) if self.observed else observations,
        )


def sub_networks(seeds, dataset="digits-clutter", model="resnet20-w4"):
    made = Made(dataset, model)
    made.over_seeds("dense", seeds, 0.9)
    for level in (1, 4, 8):
        given = {"level": level, "density": 0.8**level}
        made.over_seeds("start", seeds, 0.85 - 0.02 * level, **given)
        # In the order in which a configuration might have them.
        for k, more in ((2000, 0.04), (500, 0.03)):
            made.over_seeds("rewound", seeds, 0.85 - 0.02 * level + more, begins=k, **given)
    return made.tables()


MIXES = (("k", "fresh"), ("init", "k"))


def perturbed(seeds, iterations=(500, 2000)):
    made = Made()
    pruned = {"level": 8, "density": 0.168}
    made.over_seeds("dense", seeds, 0.9)
    made.over_seeds("start", seeds, 0.7, **pruned)
    for k in iterations:
        at, better = {**pruned, "begins": k}, k / 100_000
        made.over_seeds("unchanged", seeds, 0.8 + better, **at)
        for signs, magnitudes in MIXES:
            mix = {"signs": signs, "magnitudes": magnitudes, "perturbation": 0.2}
            made.over_seeds("mixed", seeds, 0.72 + better, **mix, **at)
        for role, accuracy in (("shuffled", 0.71), ("signshuffled", 0.75)):
            for scope in ("global", "filter"):
                made.over_seeds(role, seeds, accuracy, scope=scope, perturbation=0.1, **at)
        for noise in (0.5, 2):
            size = 0.05 * noise
            made.over_seeds("noisy", seeds, 0.8 - size, deviations=noise, perturbation=size, **at)
        made.over_seeds("random", seeds, 0.6, **at)
    return made.tables()


def pretrained(seeds):
    made = Made()
    pruned = {"level": 8, "density": 0.168}
    made.over_seeds("start", seeds, 0.7, pretrain_epochs=0, **pruned)
    made.over_seeds("rewound", seeds, 0.8, begins=500, pretrain_views="augment", **pruned)
    for view, better in (("randomlabels", 0), ("blur4+rotation", 0.05)):
        for epochs in (5, 2):
            before = {"pretrain_views": f"{view}+augment", "pretrain_epochs": epochs}
            made.over_seeds("pretrained", seeds, 0.7 + better + epochs / 100, **before, **pruned)
    return made.tables()


OBSERVED = (0, 1, 10, 500, 600)
TRACES = ("trace/stem.weight[3]", "trace/blocks.0.weight[1]")


def first_iterations(seeds):
    made = Made()
    for seed in seeds:
        run = made.add("dense", seed, 0.9)
        for iteration in OBSERVED:
            values = {
                "weight_magnitude": 0.5 + 0.1 * seed,
                "nonzero_share": 1.0,
                "sign_change_share": 0.01 * seed + iteration / 10_000,
                "gradient_magnitude": 1e-3 if iteration else None,
                "distance_to_initial": iteration + seed,
                "distance_to_final": 1000 - iteration,
                "cosine_to_initial": 1 - iteration / 1000,
                "cosine_to_final": iteration / 1000,
                # Evaluated less often.
                "test_loss": 2.0 + seed if iteration in (0, 600) else None,
                "test_accuracy": 0.1 + 0.02 * seed if iteration in (0, 600) else None,
                **dict.fromkeys(TRACES, 0.1 * seed - iteration / 1000),
            }
            for quantity, value in values.items():
                about = {"seed": seed, "iteration": iteration, "quantity": quantity}
                made.observe(run, **about, value=value)
    return made.tables()


def valleys(seeds, middle=((0, 0.9), (100, 0.5), (2000, 0.25))):
    """Observations at the places 0, 0.5 and 1 on the line, the error there by `middle`.

    The ends have errors of 0.1 and 0.2 on the test set: the barrier is the error in the middle
    less 0.15.
    """
    made = Made()
    for begins, error in middle:
        for seed in seeds:
            run = made.add("rewound" if begins else "start", seed, 0.9, begins=begins)
            for alpha, test, train in (
                (0.0, 0.1, 0.0),
                (0.5, error - 0.01 * seed, error - 0.2),
                (1.0, 0.2, 0.0),
            ):
                accuracies = {"train_accuracy": 1 - train, "test_accuracy": 1 - test}
                made.observe(run, alpha=alpha, train_loss=1.0, test_loss=1.0, **accuracies)
    return made.tables()


DRAWINGS = {
    "tickets": sub_networks,
    "telemetry": first_iterations,
    "perturbations": perturbed,
    "perturbation_sizes": perturbed,
    "data_dependence": pretrained,
    "connectivity": valleys,
}
OBSERVING = ("telemetry", "connectivity")


def without(tables, *roles):
    """The same tables of a study that has no such runs."""
    observed = tables.observations
    if observed is not None:
        observed = observed[~observed["role"].isin(roles)]
    runs = tables.runs[~tables.runs["role"].isin(roles)]
    labels = {role: label for role, label in tables.labels.items() if role not in roles}
    return replace(tables, runs=runs, observations=observed, labels=labels)
