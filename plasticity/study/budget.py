"""What a study costs before it is run: jobs, and the epochs, hours and bytes of what is left.

Pure: no torch, and of the results only which files are there. Which jobs are left is what
`plasticity.study.pending` tells the workflow itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import get_args

from tabulate import tabulate

from plasticity.core.errors import UserError
from plasticity.runs import RUNGS, Run, datasets, layout, models
from plasticity.runs.costs import Calibration, NetworkCost, Throughput
from plasticity.runs.kinds import PRETRAIN, TUNE, Job, Kind
from plasticity.runs.metrics import evaluated_epochs
from plasticity.runs.workload import (
    Workload,
    epochs_of,
    facts_of,
    start_passes,
    step_range,
    steps_per_epoch,
)
from plasticity.study.fields import Keep
from plasticity.study.pending import Present, pending
from plasticity.study.plan import Study
from plasticity.study.settings import Settings

EVALUATION_SPEED = 3.0
"""How much faster evaluation is than training, where only training is known.

A backward pass costs about as much as two forward passes.
"""

KEPT: tuple[str, ...] = get_args(Keep)
"""The values of the setting ``keep``."""


class Training(Job):
    """A training job, and what of it is its own: what comes after the shorter one it continues."""

    @property
    def rung(self) -> Run | None:
        """The shorter training that this job continues."""
        rung = self.inputs.get("rung")
        return rung.run if rung else None

    @property
    def updates(self) -> int:
        """The updates that this job makes itself: those after its rung."""
        begin, end = step_range(self.run)
        return end - (step_range(self.rung)[1] if self.rung else begin)

    @property
    def start_passes(self) -> int:
        """The passes over a batch that its start makes: of a stage's first rung, and of none after.

        Raises `UserError`.
        """
        return 0 if self.rung else start_passes(self.run)

    def evaluations(self, every: int) -> int:
        """How many of these are evaluated, where one in `every` is, and all of the last ones.

        Which are the last of a stage with a target is not known before: all of its are evaluated.
        """
        _, end = step_range(self.run)
        last = -(-end // max(1, steps_per_epoch(self.run)))  # on the clock, as in training
        every = 1 if self.run.stage.length.percent is not None else every
        return evaluated_epochs(last - self.epochs, last, every)

    @property
    def epochs(self) -> int:
        """The epochs that this job trains on itself, begun ones too."""
        return epochs_of(self.run) - (epochs_of(self.rung) if self.rung else 0)


def trainings(wanted: Iterable[Job], present: Present = lambda path: False) -> list[Training]:
    """The training jobs that are left for what is `wanted`; all where nothing is `present`."""
    left = pending(wanted, present=present)
    runs = {kind: [job.run for job in left if job.kind is kind] for kind in (PRETRAIN, TUNE)}
    return [Training(kind, run) for kind in runs for run in sorted(runs[kind], key=str)]


def is_kept(run: Run, keep: str) -> bool:
    """Whether the checkpoint of a pretraining stays where the setting ``keep`` is `keep`."""
    return keep == "all" or (keep == "rungs" and is_rung(run))


def is_rung(run: Run) -> bool:
    """Whether a longer pretraining may continue from `run`."""
    stage = run.stage
    return stage.length.unit == "e" and stage.length.number in RUNGS and not stage.prunes


@dataclass(frozen=True)
class Budget:
    """What is asked for under a name, and what of it is left.

    `pretrain` and `tune` are pairs: all jobs, and those of them that are done. `epochs`, `images`
    (of training) and `seconds` (evaluation included) are of what is left; `stored` are the bytes of
    the checkpoints that it adds for good, by the setting ``keep``.
    """

    name: str
    pretrain: tuple[int, int]
    tune: tuple[int, int]
    epochs: int
    images: int
    seconds: float
    stored: Mapping[str, int]


@dataclass(frozen=True)
class FileCount:
    """How many files jobs leave for good: results, `logs`, and the `folders` of both.

    Snakemake keeps a record of each result besides.
    """

    results: int
    logs: int
    folders: int

    @classmethod
    def of(cls, jobs: Iterable[Job], keep: str) -> FileCount:
        """That of `jobs` and the splits that they train on, by the setting `keep`."""
        results, logs = set(), set()
        for job in jobs:
            names = {*job.kind.files} - ({job.kind.state} if not is_kept(job.run, keep) else set())
            results |= {f"{layout.folder(job)}/{name}" for name in names}
            logs.add(layout.log(job))
            if job.kind.computes:
                results.add(layout.split(job.run))
                logs.add(layout.log_of_split(job.run))
        folders = {folder for path in results | logs for folder in PurePath(path).parents}
        return cls(len(results), len(logs), len(folders) - 1)  # without the one of `results`

    @property
    def together(self) -> int:
        """All that a quota of files counts."""
        return 2 * self.results + self.logs + self.folders


@dataclass(frozen=True)
class Rates:
    """What each workload costs, on the device and on any."""

    throughput: Mapping[Workload, Throughput]
    networks: Mapping[Workload, NetworkCost]
    evaluate_every: int = 1

    def budget(self, name: str, wanted: Iterable[Job], present: Present) -> Budget:
        """The budget of what is `wanted`; raises `UserError` for a data set without facts."""
        wanted = list(wanted)
        jobs, left = trainings(wanted), trainings(wanted, present)
        epochs, images, seconds = 0, 0, 0.0
        stored = dict.fromkeys(KEPT, 0)
        for job in left:
            workload = Workload.of(job.run)
            throughput = self.throughput[workload]
            batch = job.run.stage.optimiser.options["batch"]
            trained = job.updates * batch
            before = job.start_passes * batch / workload.passes  # a step makes so many passes
            facts = facts_of(job.run.dataset)
            tested = job.evaluations(self.evaluate_every) * (facts.test + facts.validation)
            epochs += job.epochs
            images += trained
            seconds += (trained + before) / throughput.training + tested / throughput.evaluation
            if job.kind.state and not present(layout.checkpoint(job.run)):
                size = self.networks[workload].checkpoint(epochs_of(job.run))
                for keep in stored:
                    stored[keep] += size if is_kept(job.run, keep) else 0

        def count(kind: Kind) -> tuple[int, int]:
            total, open_ = (sum(job.kind is kind for job in some) for some in (jobs, left))
            return total, total - open_

        return Budget(name, count(PRETRAIN), count(TUNE), epochs, images, seconds, stored)


def workloads_of(study: Study) -> list[Workload]:
    """What the targets of `study` train, in one order; raises `UserError`."""
    wanted = study.jobs_of(study.targets)
    return sorted({Workload.of(job.run) for job in trainings(wanted)}, key=str)


def networks_of(study: Study) -> list[Workload]:
    """The same, and what ``images_per_second`` is told of; raises `UserError`."""
    found = set(workloads_of(study))
    if study.settings.images_per_second:
        found.add(reference_of(study.settings, found))
    return sorted(found, key=str)


def reference_of(settings: Settings, workloads: Iterable[Workload]) -> Workload:
    """The study's `model` on its `dataset`, with some optimiser of `workloads`."""
    for key, text in (("dataset", settings.dataset), ("model", settings.model)):
        if "{" in text:
            raise UserError(
                f"images_per_second: is told of the study's model and dataset, but {key} is "
                f"{text!r}; leave images_per_second out, or name one {key}"
            )
    optimiser = min(workloads, key=str).optimiser
    dataset, model = datasets.parse(settings.dataset), models.parse(settings.model)
    return Workload.on(dataset, model, optimiser)


def scaled(
    images_per_second: float, reference: NetworkCost, networks: Mapping[Workload, NetworkCost]
) -> dict[Workload, Throughput]:
    """The throughput of all `networks`, given that of training the `reference`.

    Taken as inversely proportional to the multiply-adds of an image and to the passes of a step,
    whatever the optimiser otherwise. `images_per_second` are those of one pass a step.
    """
    found = {}
    for workload, network in networks.items():
        once = images_per_second * reference.multiply_adds / network.multiply_adds
        found[workload] = Throughput(once / workload.passes, EVALUATION_SPEED * once)
    return found


def report(
    study: Study,
    networks: Mapping[Workload, NetworkCost],
    calibration: Calibration | None,
    present: Present = os.path.exists,
) -> str:
    """The budget of every target of `study` and of all together, as text to be printed.

    Without a `calibration`, it rests on the setting ``images_per_second``.
    """
    settings = study.settings
    if calibration:
        throughput = calibration.throughput
    elif settings.images_per_second:
        reference = networks[reference_of(settings, workloads_of(study))]
        throughput = scaled(settings.images_per_second, reference, networks)
    else:
        raise UserError("images_per_second: missing, and no throughput was measured; name it")
    rates = Rates(throughput, networks, settings.evaluate_every)
    budgets = [
        rates.budget(figure.name, study.jobs_of([figure]), present) for figure in study.targets
    ]
    wanted = study.jobs_of(study.targets)
    together = rates.budget("together", wanted, present)
    count = FileCount.of(pending(wanted, present=lambda path: False), settings.keep)
    lines = [
        f"Budget of the study '{study.name}': jobs in all, and what is left to train",
        "",
        *table([*budgets, together], settings),
        "",
        *notes(together, settings, calibration),
        *notes_on_files(count),
    ]
    return "\n".join(lines)


def table(budgets: Iterable[Budget], settings: Settings) -> list[str]:
    """The lines of an aligned table, one of `budgets` a line below a head of two lines."""
    hours = "GPU-hours" if settings.device == "cuda" else "CPU-hours"
    rows: list[tuple[str, ...]] = [
        ("", "pretrain", "", "tune", "", "epochs", "images", hours, "checkpoints"),
        ("", "jobs", "done", "jobs", "done", "left", "(millions)", "left", "kept (GB)"),
    ]
    for one in budgets:
        counts = (f"{number:,}" for number in (*one.pretrain, *one.tune, one.epochs))
        amounts = (one.images / 1e6, one.seconds / 3600, one.stored[settings.keep] / 1e9)
        rows.append((one.name, *counts, *map(rounded, amounts)))
    columns = ("left", *["right"] * 8)
    text: str = tabulate(rows, tablefmt="plain", colalign=columns, disable_numparse=True)
    return text.splitlines()


def rounded(value: float) -> str:
    """`value`, which is not negative, in about three digits."""
    if 0 < value < 0.01:
        return "< 0.01"
    return f"{value:,.{0 if value >= 100 or value == 0 else 1 if value >= 10 else 2}f}"


def notes(together: Budget, settings: Settings, calibration: Calibration | None) -> Iterator[str]:
    """Lines that say what the numbers rest on, and what `together` would store otherwise."""
    device = "GPU" if settings.device == "cuda" else "CPU"
    yield "'together' has each job once: figures share jobs. A job that was cut off counts in full."
    yield "Done is what has its files; what changed code would train again is not counted."
    every = "every epoch" if settings.evaluate_every == 1 else f"{settings.evaluate_every} epochs"
    yield f"Hours are of one job at a time on one {device}, with the evaluation after {every};"
    yield "what a job needs to start, some seconds, is not counted, nor are telemetry (its updates"
    yield "once more) and connectivity (some evaluations a run), nor masks in checkpoints."
    if calibration:
        threads = f"{calibration.threads} CPU thread{'s' if calibration.threads > 1 else ''}"
        yield f"Throughput was measured on {calibration.device_name}"
        yield f"  in {calibration.precision} with {threads} on {calibration.measured} UTC;"
        yield "  to measure it again: snakemake budget --forcerun calibrate"
    else:
        given = rounded(settings.images_per_second or 0.0)
        yield f"Throughput is given: images_per_second {given} in training {settings.model} on"
        yield f"  {settings.dataset}. Other networks are scaled by their multiply-adds, which is"
        faster = f"{EVALUATION_SPEED:g} times as fast"
        yield f"  too fast for small ones; evaluation is taken as {faster}."
    sizes = ", ".join(f"{keep} {rounded(together.stored[keep] / 1e9)}" for keep in KEPT)
    yield f"Checkpoints kept, in GB more than now, by the setting keep: {sizes}."
    if settings.keep != "all":
        yield "On the way there are more: one is dropped when all that start from it are done."


def notes_on_files(count: FileCount) -> Iterator[str]:
    """Lines on the files of a whole study, for who has a quota of these."""
    yield f"Files in all, for a quota: about {count.together:,}: {count.results:,} results"
    yield f"  of runs, a record of Snakemake's for each, {count.logs:,} logs and"
    yield f"  {count.folders:,} folders; tables, figures and data are some hundred more."
    yield "  Logs of what is done may be deleted."
