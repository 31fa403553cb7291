"""Scale: what Snakemake does for every job and need do once, in studies of ten thousand jobs.

All of it only saves time: a dry run of ten thousand jobs takes twice as long without. It reaches
into Snakemake, and so is done with the releases that it was tried with and left out with others.
"""

import gc
import re
from functools import lru_cache

from snakemake import __version__ as snakemake_version
from snakemake import common as snakemake_common
from snakemake import dag as snakemake_dag
from snakemake import jobs as snakemake_jobs
from snakemake import output_index as snakemake_output_index
from snakemake import rules as snakemake_rules


def collect_seldom():
    """Look for garbage less often.

    A graph of jobs is a million objects that stay. Python looks through all of them again and
    again as it grows: a fifth of the time, for nothing.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def check_scripts_once():
    """Check that a rule's script is there once a rule.

    Snakemake opens and reads it anew for every job, which is a fifth of the time of a dry run. No
    script of this workflow has wildcards in its path, so that all jobs of a rule share it.
    """
    process = snakemake_dag.ScriptProcessor.process_job
    done = set()

    def process_once(self, job):
        what = (self.script_type, job.rule)
        if what not in done:
            process(self, job)
            done.add(what)

    snakemake_dag.ScriptProcessor.process_job = process_once


def remember_signatures():
    """Find out once what arguments a function of a rule takes.

    Snakemake looks three times a call.
    """
    known = lru_cache(maxsize=1000)(snakemake_common.get_function_params)
    snakemake_common.get_function_params = known
    snakemake_rules.get_function_params = known


def remember_producers():
    """Find out once a file which rules could make it: many jobs read the same ones."""
    index = snakemake_output_index.OutputIndex
    index.match_producers = lru_cache(maxsize=None)(index.match_producers)


def name_environments_once():
    """Name the environment of training jobs without their parameters.

    Snakemake evaluates the parameters of each job to fill them into that name, which has no place
    for them here. Other rules keep it so: there a mistake of the user's shows in a parameter, and
    is to show before anything is run.
    """
    named = snakemake_jobs.Job.conda_env_spec.fget
    found = {}

    def conda_env_spec(self):
        name = self.rule.name
        if name not in kinds.OF_RULES:
            return named(self)
        if name not in found:
            found[name] = named(self)
        return found[name]

    snakemake_jobs.Job.conda_env_spec = property(conda_env_spec)


import os
_on = os.environ.get("PATCH", "gsipe")
if "g" in _on: collect_seldom()
if "i" in _on: remember_signatures()
if "p" in _on: remember_producers()
if "e" in _on: name_environments_once()
if "s" in _on: check_scripts_once()
