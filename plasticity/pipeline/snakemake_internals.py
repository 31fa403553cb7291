"""What reaches into Snakemake 9 and its plugin for SLURM: three functions, each with its reason.

Where another release has no such name they do nothing. A test fails then, so that whoever raises
the version in constraints.txt learns of it.
"""

from __future__ import annotations

import sys
from typing import Any

from plasticity.runs import layout


def check_scripts_once() -> None:
    """Check that a rule's script is there once a rule.

    Snakemake opens and reads it anew for every job, in which a dry run of the paper's study spends
    more than a quarter of its time. No script of this workflow has wildcards in its path, so that
    all jobs of a rule share it.
    """
    from snakemake import dag

    processor: Any = getattr(dag, "ScriptProcessor", None)
    process = getattr(processor, "process_job", None)
    if process is None:
        return
    done = set()

    def process_once(self: Any, job: Any) -> None:
        what = (self.script_type, job.rule)
        if what not in done:
            process(self, job)
            done.add(what)

    processor.process_job = process_once


def lift_rate_limit(scheduler: Any) -> None:
    """Let local jobs start as fast as they can.

    Snakemake wakes its scheduler a second after each time that it woke, if the rate of jobs is
    limited, which it is by default: every finished job adds one more such clock, and after some
    hundred jobs the scheduler alone takes half a core. Only submissions need the limit.
    """
    if hasattr(scheduler, "job_rate_limiter"):
        scheduler.job_rate_limiter = None


def shorten_slurm_logs() -> None:
    """Keep the logs of SLURM's jobs nameable.

    The plugin names a folder by all wildcards of a job; the run of many stages is longer than the
    255 bytes that a name may have, and its job could not be submitted.
    """
    plugin: Any = sys.modules.get("snakemake_executor_plugin_slurm")
    whole = getattr(plugin, "get_job_wildcards", None)
    if whole:
        plugin.get_job_wildcards = lambda job: layout.shortened(whole(job))
