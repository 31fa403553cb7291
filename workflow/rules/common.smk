"""What rules share: the study, the wildcard `run`, and how a mistake is told."""

import sys
from pathlib import Path

from snakemake.logging import logger

import plasticity
from plasticity.core.errors import UserError
from plasticity.pipeline import checks, digests, inputs, jobs, snakemake_internals
from plasticity.pipeline.invocation import Invocation, misspelt_targets
from plasticity.runs import datasets, kinds, layout
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


def before_jobs():
    """What is done once it is known which jobs are going to run."""
    digests.plan()
    session.keep_records()
    checked(checks.before_start, study, session.due(), session.start(), logger.warning)
    session.prepare_executor()
    if not workflow.local_exec:
        checked(checks.require_accounts, workflow.executor_settings)


project = Path(plasticity.__file__).parents[1]
snakemake_internals.use_own_library(project)
session = snakemake_internals.Session(workflow, project / "Snakefile")
if workflow.is_main_process:
    checked(session.require_no_prefix)
    session.before_jobs(before_jobs)
checked(checks.require_folders, workflow.basedir)
study = checked(Study, config, renew=workflow.is_main_process)
invocation = Invocation(study, session, workflow.is_main_process)


def job_of(kind, wildcards):
    """The `kind` of job on the run that the wildcards spell."""
    return checked(invocation.job, kind, wildcards.run)


def inputs_of(kind):
    """What a `kind` of job makes the run of its wildcards from: a function of these."""
    return lambda wildcards: checked(invocation.inputs, job_of(kind, wildcards))


def code_of(kind):
    """What Snakemake is told of the code of a `kind` of job: a function of the wildcards."""
    return lambda wildcards: checked(invocation.told_of_code, job_of(kind, wildcards))


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


def renewed(find, name):
    """No input; data that are outdated are made again, whatever Snakemake has on record."""
    checked(lambda: invocation.renew(find(name)))
    return []


def code_of_data(find, name):
    """What Snakemake is told of the code of the data that `find` finds by `name`."""
    return checked(lambda: invocation.told_of_data(find(name)))


def source_of(wildcards):
    """What Snakemake is told of the source of the data set of its wildcards."""
    return checked(invocation.told_of_source, wildcards.dataset)
