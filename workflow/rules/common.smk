"""Wildcards and the few functions that turn them into runs."""

import os
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile
from snakemake.logging import logger

from plasticity.core import files, gpus
from plasticity.runs import layout, metrics
from plasticity.data import sources
from plasticity.core.errors import UserError
from plasticity.runs import Run, data_selections, datasets
from plasticity.pipeline import digests, why
from plasticity.study import Study, pending


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


# Rules that make something of a run, and the kind of their jobs.
KINDS = {
    **{kind: kind for kind in ("pretrain", "tune", "telemetry", "connectivity")},
    "pretrain_rung": "pretrain",
    "prune": "masks",
}
TRAINING = [rule for rule in KINDS if rule != "prune"]
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


def inputs_of(kind):
    """What a `kind` of job makes the run of its wildcards from: a function of these."""

    def inputs(wildcards):
        run = run_of(wildcards)
        earlier = pending.made_from(kind, run)
        wanted = {
            name: pending.handed_on(*job)
            for name, job in earlier.items()
            if study.settings.retrain
            or pending.requires((kind, run), job, needed, is_finished)
        }
        data = {**layout.dataset(run.dataset), "split": layout.split(run)}
        return wanted if kind == "masks" else {**data, **wanted}

    return inputs


@cache
def is_current(run, kind):
    """Whether a finished job was made by the present code, in the present precision."""
    changed, precision = recorded(run, kind)
    return not changed and precision == study.settings.precision


@cache
def recorded(run, kind):
    """The components for which a finished job is outdated, and the precision that it was made in."""
    about = checked(about_of(kind), pending.output(kind, run))
    changed = code_of(run, kind).changed_since(about.get("components", {}))
    return changed, about["precision"]


def about_of(kind):
    """What reads what the result of a `kind` of job says about itself."""
    return files.header if kind == "masks" else metrics.about


def code_of(run, kind):
    """All that makes the result of a `kind` of job."""
    return digests.code_of(kind, run, getattr(study.settings, kind, None))


def code_told(kind):
    """What Snakemake is told of the code of a `kind` of job: a function of its wildcards."""

    def told(wildcards):
        run = run_of(wildcards)
        path = pending.output(kind, run)
        if not os.path.exists(path):
            return why.parameter(code_of(run, kind), None, ())
        on_record = workflow.persistence.params(IOFile(path)) or ()
        return why.parameter(code_of(run, kind), recorded(run, kind)[0], on_record)

    return told


def is_finished(run, kind):
    """Whether a run needs nothing more, whatever becomes of the checkpoints before it.

    Where all of them are kept, Snakemake itself decides that by their age.
    """
    return study.settings.keep != "all" and is_current(run, kind)


def require_results(*, writable):
    """Stop before anything is run where results cannot be written."""
    results = Path(layout.RESULTS)
    place = results if results.exists() else Path()
    if not place.is_dir() or (writable and not os.access(place, os.W_OK)):
        raise WorkflowError(
            f"{layout.RESULTS}: not a folder that can be written; make it one, or run with "
            "--directory in another place"
        )


def lift_rate_limit():
    """Let local jobs start as fast as they can.

    Snakemake 9 wakes its scheduler a second after each time that it woke, if the rate of jobs is
    limited, which it is by default: every finished job adds one more such clock, and after some
    hundred jobs the scheduler alone takes half a core. Only submissions need the limit.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def shorten_slurm_logs():
    """Keep the logs of SLURM's jobs nameable.

    The executor plugin names a folder by all wildcards of a job; those of a chain of many stages
    are longer than the 255 bytes that a name may have, and the job could not be submitted.
    """
    plugin = sys.modules.get("snakemake_executor_plugin_slurm")
    if plugin and not workflow.local_exec:
        whole = plugin.get_job_wildcards
        plugin.get_job_wildcards = lambda job: layout.shortened(whole(job))


def require_parents():
    """Stop before anything is trained where a finished run must be and its parent is gone.

    Which runs of other code or precision need theirs is known beforehand; those of newer data are
    found only now.
    """
    lacking = [
        str(job.output[0])
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in KINDS
        and any(
            name not in job.input.keys()
            for name in pending.made_from(KINDS[job.rule.name], run_of(job.wildcards))
            if name != "rung"
        )
    ]
    if lacking and not workflow.touch:
        raise WorkflowError(
            f"{len(lacking)} finished runs, such as {lacking[0]}, are to be trained again, and the "
            f"checkpoints that they start from were dropped (keep: {study.settings.keep}); "
            "add --config retrain=true to make those again too"
        )


def forget_refusals():
    """Let every job be tried again: what an earlier invocation was told may have been mended."""
    if workflow.is_main_process and not workflow.touch:
        for job in jobs_of(KINDS):
            Path(job.output[0]).with_name("refused.txt").unlink(missing_ok=True)


def require_device():
    """Stop before anything is trained where the study needs a GPU and this machine has none."""
    if training_jobs() and gpu_is_missing():
        raise WorkflowError(gpus.NO_GPU)


def advise_limit():
    """Say which limit is needed where more jobs would start at once than the GPUs have room for.

    Without a limit Snakemake starts as many as there are cores; a limit below 1 is none to it.
    Jobs that must wait for a GPU hold their cores meanwhile, so that nothing else can run there.
    """
    training = training_jobs()
    if not (training and uses_gpus_here()):
        return
    limit = workflow.global_resources.get("gpu").value or 0
    at_once = min(
        len(training),
        workflow.cores // min(job.threads for job in training),
        limit if limit > 0 else len(training),
    )
    gpus, slots = len(gpus.visible_gpus()), study.settings.slots_per_gpu
    if at_once > gpus * slots:
        logger.warning(
            f"{at_once} training jobs may start at once, and there is room for {gpus * slots} "
            f"(visible GPUs: {gpus}, slots_per_gpu: {slots}); the others will hold their cores and "
            f"wait. Stop this and run it again with --resources gpu={gpus * slots}"
        )


def training_jobs():
    """The jobs that are going to train."""
    return jobs_of(TRAINING)


def jobs_of(rules):
    """The jobs of these `rules` that are going to run."""
    return [job for job in workflow.dag.needrun_jobs() if job.rule.name in rules]


def require_sources():
    """Stop before anything is run where the source of a data set cannot be read."""
    for job in workflow.dag.needrun_jobs():
        if job.rule.name == "dataset" and (
            source := study.source(job.wildcards.dataset)
        ):
            checked(files.require_readable, source, f"sources.{job.wildcards.dataset}")


def require_throughput():
    """Stop before anything is run where a GPU is to be measured and this machine has none."""
    if gpu_is_missing() and any(
        job.rule.name == "calibrate" for job in workflow.dag.needrun_jobs()
    ):
        raise WorkflowError(
            "the budget needs the throughput of a GPU (device: cuda), and none is visible here to "
            "be measured. Either name it, with --config images_per_second=12000 (images a second "
            "in training the study's model), or run this where the GPU is"
        )


def gpu_is_missing():
    """Whether jobs are to run on a GPU of this machine and it has none."""
    return uses_gpus_here() and not gpus.gpu_is_present()


def uses_gpus_here():
    """Whether this process starts jobs that are to run on GPUs of this machine."""
    return starts_jobs_here() and study.settings.device == "cuda"


def starts_jobs_here():
    """Whether this process starts jobs that are to run on this machine."""
    return workflow.is_main_process and workflow.local_exec and not workflow.touch
