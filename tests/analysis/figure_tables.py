"""Tables of made studies for the figures of the first paper, and what every drawing is asked."""

import csv
from importlib import import_module

import pandas as pd
from matplotlib import rc_context

from plasticity.analysis.figures import Tables, render, style
from plasticity.runs import Run
from plasticity.runs.layout import FIGURE_SUFFIXES

PLACE = "digits-clutter/resnet-d1w8/seed{seed}/"
COLD = PLACE + "full_adam-lr0.001_e5_init"
LENGTHS = {
    length: PLACE + f"half_adam-lr0.001_e{length}_init/full_adam-lr0.001_e5_keep"
    for length in (2, 4)
}
RESETS = {
    modules: PLACE + f"half_adam-lr0.001_e4_init/full_adam-lr0.001_e5_reset{modules}"
    for modules in ("1", "5+6", "6")
}
DRIFT = PLACE + "drift{gamma}_adam-lr0.001_e5_init"
RESAMPLED = PLACE + "resampled_adam-lr0.001_e5_init"
RATE = PLACE + "half_adam-lr{before}_e4_init/full_adam-lr{rate}_e5_keep"
LABELS = {
    "cold": "from scratch",
    "resampled": "drawn with replacement",
    "drift": "smooth transition",
    "uniform": "evenly",
    "imbalanced": "by class",
    "warm": "warm start",
    "alone": "one module",
    "top": "from the top",
}


class Synthetic:
    """Tables of a study that nobody ran, as `analysis.summary` would make them."""

    def __init__(self):
        self.runs, self.curves, self.roles = {}, [], {}

    def add(self, role, template, seed, final):
        """A run whose test accuracy rises by fifths to `final`, and its pretraining."""
        run = Run.parse(template.format(seed=seed))
        self.roles.setdefault(role, []).append(str(run))
        parent = run.parent
        if parent and not any(row["run"] == str(parent) for row in self.curves):
            # Training accuracy is full from the second epoch on, test accuracy stays half.
            for epoch in range(1, parent.stage.length.number + 1):
                self._epoch(parent, "pretrain", epoch, train=1.0 if epoch > 1 else 0.5, test=0.5)
        if str(run) not in self.runs:
            for epoch in range(1, 6):
                self._epoch(run, "tune", epoch, train=0.5, test=final * epoch / 5)
        modules = run.stage.start.options.get("modules", ())
        self.runs[str(run)] = {
            "run": str(run),
            "seed": seed,
            "epochs": run.stage.length.number,
            "parent": str(parent) if parent else None,
            "pretrain_epochs": parent.stage.length.number if parent else 0,
            "reset_modules": "+".join(map(str, modules)) or None,
            "modules": ", ".join(run.model.facts.names(**run.model.own)),
            "gamma": run.stage.data.options.get("gamma"),
            "ratio": parent.stage.data.options.get("ratio") if parent else None,
            "depth": run.model.options.get("depth"),
            "width": run.model.options.get("width"),
            "lr": run.stage.optimiser.options["lr"],
            "pretrain_lr": parent.stage.optimiser.options["lr"] if parent else None,
            "test_accuracy": final,
            "diverged": False,
            "diverged_step": None,
            # Further columns of the table of runs that a drawing may use.
            "data": str(run.stage.data),
            "start": str(run.stage.start),
            "stages": len(run.stages),
            "last_test_accuracy": final,
            "best_test_accuracy": final,
            "best_train_accuracy": 0.5,
            "final_train_accuracy": 0.5,
            "reached_full_train_accuracy": False,
            "epochs_to_full_train_accuracy": None,
        }

    def _epoch(self, run, kind, epoch, train, test):
        row = {"run": str(run), "kind": kind, "seed": run.seed, "epoch": epoch}
        self.curves.append({**row, "train_accuracy": train, "test_accuracy": test})

    def tables(self):
        return Tables.of(
            title="A title",
            runs=pd.DataFrame(self.runs.values()),
            curves=pd.DataFrame(self.curves),
            roles=self.roles,
            labels={role: LABELS[role] for role in self.roles},
        )


def warm_start(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
        made.add("warm", LENGTHS[4], seed, 0.7 + 0.02 * seed)
    return made.tables()


def pretraining_length(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
    for length, accuracy in ((2, 0.75), (4, 0.7)):
        for seed in seeds:
            made.add("warm", LENGTHS[length], seed, accuracy + 0.02 * seed)
    return made.tables()


def resets(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
        made.add("warm", LENGTHS[4], seed, 0.7 + 0.02 * seed)
    for role, modules, accuracy in (
        ("alone", "1", 0.6),
        ("alone", "6", 0.65),
        ("top", "5+6", 0.75),
    ):
        for seed in seeds:
            made.add(role, RESETS[modules], seed, accuracy + 0.02 * seed)
    return made.tables()


def drift(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
        made.add("resampled", RESAMPLED, seed, 0.78 + 0.02 * seed)
    for gamma, accuracy in ((0.5, 0.75), (0.1, 0.7)):
        for seed in seeds:
            run = DRIFT.format(seed=seed, gamma=gamma)
            made.add("drift", run, seed, accuracy + 0.02 * seed)
    return made.tables()


def grown(splits, ratio):
    """A lineage of several stages of pretraining."""
    starts = ["init"] + ["keep"] * (splits - 1)
    stages = [
        f"stage{i}of{splits}r{ratio}_adam-lr0.001_e4_{start}" for i, start in enumerate(starts, 1)
    ]
    return PLACE + "/".join([*stages, "full_adam-lr0.001_e5_keep"])


def stages(seeds):
    made = Synthetic()
    for seed in seeds:
        made.add("cold", COLD, seed, 0.8 + 0.02 * seed)
    for role, splits, ratio, accuracy in (
        ("uniform", 1, 1, 0.75),
        ("uniform", 3, 1, 0.7),
        ("imbalanced", 3, 1, 0.7),
        ("imbalanced", 3, 0.5, 0.6),
    ):
        for seed in seeds:
            made.add(role, grown(splits, ratio), seed, accuracy + 0.02 * seed)
    return made.tables()


def capacity(seeds):
    made = Synthetic()
    for model, cold in (("d1w8", 0.8), ("d1w4", 0.7), ("d2w4", 0.75), ("d2w8", 0.85)):
        for seed in seeds:
            place = COLD.replace("d1w8", model)
            made.add("cold", place, seed, cold + 0.02 * seed)
            made.add("warm", LENGTHS[4].replace("d1w8", model), seed, cold - 0.1 + 0.01 * seed)
    return made.tables()


def learning_rates(seeds):
    made = Synthetic()
    for rate, accuracy in (("0.001", 0.8), ("0.01", 0.7)):
        for seed in seeds:
            cold = COLD.replace("0.001", rate)
            made.add("cold", cold, seed, accuracy + 0.02 * seed)
            for before in ("0.002", "0.02"):
                run = RATE.format(seed=seed, before=before, rate=rate)
                made.add("warm", run, seed, accuracy - 10 * float(before) + 0.02 * seed)
    return made.tables()


DRAWINGS = {
    "capacity": capacity,
    "drift": drift,
    "learning_rates": learning_rates,
    "stages": stages,
    "pretraining_length": pretraining_length,
    "resets": resets,
    "tuning_curves": warm_start,
    "warm_start": warm_start,
}


def draw(name, folder, tables, suffixes=FIGURE_SUFFIXES):
    """The files that a drawing writes, by suffix."""
    outputs = {suffix: folder / f"{name}.{suffix}" for suffix in suffixes}
    render(name, tables, outputs)
    return outputs


def drawing_of(name, tables):
    return import_module(f"plasticity.analysis.figures.{name}").draw(tables)


def texts_of(picture):
    """All that is written in a picture, except for the labels of ticks."""
    found = [picture.get_suptitle(), picture.get_supxlabel()]
    for axes in picture.axes:
        found += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        found += [text.get_text() for text in axes.texts]
    legends = [*picture.legends, *(a.get_legend() for a in picture.axes if a.get_legend())]
    return found + [text.get_text() for legend in legends for text in legend.get_texts()]


def sketched(name, folder, tables):
    """The numbers of a drawing, whose picture is drawn in one format only, which is faster."""
    with rc_context(style.RC):
        drawing = drawing_of(name, tables)
        drawing.picture.savefig(folder / "sketch.svg")
    drawing.numbers.to_csv(folder / "sketch.csv", index=False)
    return numbers({"csv": folder / "sketch.csv"})


def numbers(outputs):
    """The numbers beside a picture: real ones as such, in the order of the file."""
    with open(outputs["csv"], encoding="utf-8", newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text
