"""Checks made before anything is run: a mistake that is sure to end a study ends it at once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from plasticity.core import files, gpus
from plasticity.core.errors import UserError
from plasticity.runs import layout
from plasticity.runs.compute import unrecorded
from plasticity.runs.kinds import OF_RULES
from plasticity.study import Study


@dataclass(frozen=True)
class Start:
    """How jobs are started: on this machine or (not `is_local`) elsewhere, or merely touched.

    So many `cores` and, if above 0, at most so many `gpus` at a time.
    """

    is_local: bool = True
    touches: bool = False
    cores: int = 1
    gpus: int = 0

    def needs_gpus(self, study: Study) -> bool:
        """Whether jobs of `study` are to run on GPUs of this machine."""
        return self.is_local and not self.touches and study.settings.device == "cuda"


@dataclass(frozen=True)
class Due:
    """A job of a `rule` that is going to run: its files, and the names of its inputs."""

    rule: str
    outputs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    threads: int = 1

    @property
    def output(self) -> Path:
        """The first of its files, which stands in the folder that names what the job is about."""
        return Path(self.outputs[0])

    @property
    def trains(self) -> bool:
        """Whether it runs a network on the study's device."""
        return self.rule in OF_RULES and OF_RULES[self.rule].computes


def before_start(
    study: Study, due: Iterable[Due], start: Start, warn: Callable[[str], None]
) -> None:
    """Make all checks for the jobs that are `due`; raises `UserError`.

    What is merely unwise goes to `warn`. Then every job may be tried again: what an earlier
    invocation was told may have been mended.
    """
    due = list(due)
    require_results(writable=True)
    require_sources(study, due)
    require_throughput(study, due, start)
    require_device(study, due, start)
    require_execution(study, due)
    if not start.touches:
        require_parents(study, due)
    if advice := advice_on_limit(study, due, start):
        warn(advice)
    if not start.touches:
        forget_refusals(due)


def require_folders(project: str | Path) -> None:
    """Raise `UserError` where Snakemake cannot work in the folder of the `project`, or on results.

    It takes what is between braces in the path of a script for a wildcard.
    """
    if {"{", "}"} & {*str(project)}:
        raise UserError(
            f"{project}: Snakemake cannot run a workflow in a folder with braces in its path; "
            "rename that folder (results may be in such a one, with --directory)"
        )
    require_results(writable=False)


def require_results(*, writable: bool) -> None:
    """Raise `UserError` where results, or a part of them, are in no folder or cannot be written.

    What else lies there, such as a link of the user's, is no part of them.
    """
    results = Path(layout.RESULTS)
    place = results if results.exists() or results.is_symlink() else Path()
    if not place.is_dir() or (writable and not os.access(place, os.W_OK)):
        raise _not_a_folder(results)
    try:
        for below in (results / name for name in layout.FOLDERS):
            if os.path.lexists(below) and not below.is_dir():
                raise _not_a_folder(below)
        if results.exists():
            os.scandir(results).close()
    except OSError as error:
        raise _not_a_folder(results) from error


def _not_a_folder(path: Path) -> UserError:
    leads = f" (a link to {path.readlink()})" if path.is_symlink() else ""
    return UserError(
        f"{path}: not a folder that can be written{leads}; make it one, or run with --directory in "
        "another place"
    )


PATIENCE = 120.0
"""Seconds in which SLURM's accounts answer, also on a busy cluster."""


def require_accounts(executor_settings: object) -> None:
    """Raise `UserError` where SLURM's `sacct` is to tell which jobs have ended, and cannot.

    Snakemake would wait for the first job for ever, without a word. `executor_settings` are those
    of its plugin; other ones have no such command.
    """
    if getattr(executor_settings, "status_command", None) != "sacct":
        return
    try:
        asked = subprocess.run(
            ["sacct", "--noheader", "--format=JobID", "--starttime=now"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        return  # the plugin sees that itself, and asks squeue
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    else:
        if asked.returncode == 0:
            return
        said = " ".join(asked.stderr.split()) or f"status {asked.returncode}"
    raise UserError(
        "slurm-status-command: sacct, which is to tell when jobs have ended, does not answer "
        f"({said}); on a cluster without accounting add `slurm-status-command: squeue` to the "
        "profile (profiles/slurm/profile.yaml), then run the same command again"
    )


def require_sources(study: Study, due: Iterable[Due]) -> None:
    """Raise `UserError` where the source of a data set cannot be read.

    Or is gone while the prepared data are still there, which Snakemake would delete first.
    """
    for job in [job for job in due if job.rule == "dataset"]:
        name = job.output.parent.name
        if not (source := study.source(name)):
            continue
        key = study.key_of_source(name)
        files.require_readable(source, key)
        if job.output.exists() and not Path(source).exists():
            raise UserError(
                f"{key}: {source}: no such file or folder, and {job.output.parent} is to "
                "be prepared anew from it; put it back, or name its new place"
            )


def require_throughput(study: Study, due: Iterable[Due], start: Start) -> None:
    """Raise `UserError` where a GPU is to be measured and this machine has none."""
    if any(job.rule == "calibrate" for job in due) and gpu_is_missing(study, start):
        raise UserError(
            "the budget needs the throughput of a GPU (device: cuda), and none is visible here to "
            "be measured. Either name it, with --config images_per_second=12000 (images a second "
            "in training the study's model), or run this where the GPU is"
        )


def require_device(study: Study, due: Iterable[Due], start: Start) -> None:
    """Raise `UserError` where a GPU is to be trained on and this machine has none."""
    if any(job.trains for job in due) and gpu_is_missing(study, start):
        raise UserError(gpus.NO_GPU)


def require_execution(study: Study, due: Iterable[Due]) -> None:
    """Raise `UserError` where steps are to be recorded of a rule that cannot be."""
    if study.settings.execution in ("auto", "eager"):
        return
    for job in [job for job in due if job.trains]:
        rule = layout.job_of(str(job.output)).run.stage.optimiser
        if complaint := unrecorded(study.settings.execution, rule.facts.passes):
            raise UserError(f"{complaint} (optimiser '{rule}')")


def gpu_is_missing(study: Study, start: Start) -> bool:
    """Whether jobs are to run on a GPU of this machine and it has none."""
    return start.needs_gpus(study) and not gpus.gpu_is_present()


def require_parents(study: Study, due: Iterable[Due]) -> None:
    """Raise `UserError` where a finished run is to be trained again and its parent is gone.

    Which runs of other code or precision need theirs is known beforehand; those of newer data are
    found only now.
    """
    lacking = [
        job.output
        for job in due
        if job.rule in OF_RULES
        and not {*layout.job_of(str(job.output)).inputs} - {"rung"} <= {*job.inputs}
    ]
    if lacking:
        raise UserError(
            f"{len(lacking)} finished runs, such as {lacking[0]}, are to be trained again, and the "
            f"checkpoints that they start from were dropped (keep: {study.settings.keep}); "
            "add --config retrain=true to make those again too"
        )


def advice_on_limit(study: Study, due: Iterable[Due], start: Start) -> str | None:
    """Which limit is needed where more jobs would start at once than the GPUs have room for.

    Without a limit Snakemake starts as many as there are cores. Jobs that must wait for a GPU hold
    their cores meanwhile, so that nothing else can run there.
    """
    training = [job for job in due if job.trains]
    if not training or not start.needs_gpus(study):
        return None
    at_once = min(len(training), start.cores // min(job.threads for job in training))
    if start.gpus > 0:
        at_once = min(at_once, start.gpus)
    visible, slots = len(gpus.visible_gpus()), study.settings.slots_per_gpu
    room = visible * slots
    if at_once <= room:
        return None
    return (
        f"{at_once} training jobs may start at once, and there is room for {room} "
        f"(visible GPUs: {visible}, slots_per_gpu: {slots}); the others will hold their cores and "
        f"wait. Stop this and run it again with --resources gpu={room}"
    )


def forget_refusals(due: Iterable[Due]) -> None:
    """Let every job be tried again that an earlier invocation refused."""
    for job in due:
        if job.rule in OF_RULES:
            job.output.with_name(layout.REFUSED).unlink(missing_ok=True)
