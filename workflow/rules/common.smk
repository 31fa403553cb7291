"""Wildcards and the few functions that turn them into runs."""

import os
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from plasticity import devices, layout
from plasticity.datasets import sources
from plasticity.errors import UserError
from plasticity.spec import Run, ancestors, data_selections, datasets
from plasticity.study import Study, digest


wildcard_constraints:
    dataset=r"[^/]+",
    model=r"[^/]+",
    seed=r"\d+",
    history=r"(?:[^/]+/)*",
    data=r"[^/_]+",
    optimiser=r"[^/_]+",
    length=r"[^/_]+",
    start=r"[^/_]+",
    figure=r"[^/]+",


LINEAGE = "{dataset}/{model}/seed{seed}/{history}{data}_{optimiser}_{length}_{start}"


def checked(function, *arguments):
    """Call `function`; a mistake of the user's ends the workflow with its message alone."""
    try:
        return function(*arguments)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def run_of(wildcards):
    """The run that a job's wildcards spell."""
    return checked(Run.parse, LINEAGE.format(**dict(wildcards.items())))


def training_inputs(wildcards):
    """What the last stage of a run is trained from."""
    run = run_of(wildcards)
    inputs = {**layout.dataset(run.dataset), "split": layout.split(run)}
    if run.parent:
        inputs["parent"] = layout.checkpoint(run.parent)
    return inputs


def pretraining_inputs(wildcards):
    """The same for a pretraining, which continues from the next lower rung."""
    run = run_of(wildcards)
    rung = {"rung": layout.checkpoint(run.rung)} if run.rung else {}
    return {**training_inputs(wildcards), **rung}


def metrics_of(runs):
    """The metrics of tuned `runs` and of the pretraining that they went through."""
    return {
        "tuned": [layout.metrics(run, "tune") for run in runs],
        "pretrained": [layout.metrics(run, "pretrain") for run in ancestors(runs)],
    }


def check_targets(arguments):
    """Refuse a run path in a wrong spelling, or a figure that there is not, with a message.

    Snakemake would only say that it has no rule for it.
    """
    for argument in map(os.path.normpath, arguments):
        if re.fullmatch(r"fig\d+", argument):
            checked(study.figure, argument)
        if argument.startswith(f"{layout.RESULTS}/figures/{study.name}/"):
            checked(study.figure, Path(argument).stem)
        if argument.startswith(
            (f"{layout.RESULTS}/pretrain/", f"{layout.RESULTS}/tune/")
        ):
            checked(layout.run_of, argument)


def require_results(*, writable):
    """Stop before anything is run where results cannot be written."""
    results = Path(layout.RESULTS)
    place = results if results.exists() else Path()
    if not place.is_dir() or (writable and not os.access(place, os.W_OK)):
        raise WorkflowError(
            f"{layout.RESULTS}: not a folder that can be written; make it one, or run with "
            "--directory in another place"
        )


def require_device():
    """Stop before anything is trained where the study needs a GPU and this machine has none."""
    training = any(
        job.rule.name in ("pretrain", "tune") for job in workflow.dag.needrun_jobs()
    )
    here = workflow.is_main_process and workflow.local_exec and not workflow.touch
    if (
        training
        and here
        and study.settings.device == "cuda"
        and not devices.gpu_is_present()
    ):
        raise WorkflowError(devices.NO_GPU)
