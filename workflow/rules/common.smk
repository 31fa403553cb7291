"""What rules share: the study, the wildcard `run`, and how a mistake is told."""

import sys

from snakemake.io import IOFile
from snakemake.logging import logger

from plasticity.core.errors import UserError
from plasticity.pipeline import checks, digests, inputs, snakemake_internals
from plasticity.pipeline.invocation import Invocation, misspelt_targets, named_targets
from plasticity.runs import data_selections, datasets, kinds, layout
from plasticity.study import Study


wildcard_constraints:
    figure=r"[^/]+",


def checked(function, *arguments, **options):
    """Call `function`; a mistake of the user's ends Snakemake with its message alone."""
    try:
        return function(*arguments, **options)
    except UserError as error:
        # Not an error of Snakemake's, which would add lines on where it was raised.
        sys.exit(f"\nError: {error}")


def targets():
    """What Snakemake is to make, known once all rules are read: `--until` has a value, no target."""
    settings, scheduling = workflow.dag_settings, workflow.scheduling_settings
    first = scheduling.prioritytargets if scheduling else ()
    general = [rule.name for rule in workflow.rules if rule.has_wildcards()]
    besides = [*first, *settings.forcerun, *settings.until]
    return named_targets(settings.targets, besides, general)


checked(checks.require_results, writable=False)
study = checked(Study, config)
invocation = Invocation(study, targets, workflow.is_main_process)


def job_of(kind, wildcards):
    """The `kind` of job on the run that the wildcards spell."""
    return checked(invocation.job, kind, wildcards.run)


def inputs_of(kind):
    """What a `kind` of job makes the run of its wildcards from: a function of these."""
    return lambda wildcards: checked(invocation.inputs, job_of(kind, wildcards))


def code_of(kind):
    """What Snakemake is told of the code of a `kind` of job: a function of the wildcards."""
    recorded = lambda path: workflow.persistence.params(IOFile(path)) or ()
    told = invocation.told_of_code
    return lambda wildcards: checked(told, job_of(kind, wildcards), recorded)


def figure_of(wildcards):
    """The figure that the wildcards name."""
    return nothing() or checked(study.figure, wildcards.figure)


def group_of(wildcards):
    """The figures of the group that the wildcards name."""
    return nothing() or checked(study.group, wildcards.group)


def runs_of(wildcards):
    """The measured runs of the figure or of the group that the wildcards name."""
    return nothing() or checked(study.runs_of, wildcards.figure)


def nothing(wildcards=None):
    """No input, unless there is a mistake in what is asked for, which is told."""
    checked(invocation.require_targets)
    return []


def due():
    """The jobs that are going to run."""
    return [
        checks.Due(
            job.rule.name, tuple(job.output), tuple(job.input.keys()), job.threads
        )
        for job in workflow.dag.needrun_jobs()
    ]


def start():
    """How Snakemake starts jobs."""
    is_local = workflow.is_main_process and workflow.local_exec
    return checks.Start(
        is_local=is_local,
        touches=workflow.touch,
        cores=workflow.cores if is_local else 1,  # elsewhere it need not be given
        gpus=workflow.global_resources.get("gpu").value or 0,
    )
