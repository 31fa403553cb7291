"""What reaches into Snakemake 9 and its plugin for SLURM, each function with its reason.

A test fails where another release has no such name, so that whoever raises the version in
constraints.txt learns of it.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plasticity.core.errors import UserError
from plasticity.pipeline.checks import Due, Start
from plasticity.runs import layout

TRIGGERS = ("mtime", "params")
"""The rerun triggers under which nothing finished is made again for want of a dropped state."""


@dataclass(frozen=True)
class Session:
    """What the `workflow` of Snakemake was asked for, has on record, and is going to do.

    `snakefile` is this project's.
    """

    workflow: Any
    snakefile: Path

    def targets(self) -> list[str]:
        """All that is made because it is named on the command line, known once all rules are read.

        Besides the targets, or the default one where there are none, that is what the options
        ``--forcerun``, ``--until`` and ``--prioritize`` name, unless it is a rule with wildcards,
        which names no file.
        """
        settings, scheduling = self.workflow.dag_settings, self.workflow.scheduling_settings
        first = scheduling.prioritytargets if scheduling else ()
        general = {rule.name for rule in self.workflow.rules if rule.has_wildcards()}
        besides = [*first, *settings.forcerun, *settings.until]
        return [*(settings.targets or ["all"]), *(name for name in besides if name not in general)]

    def told(self, path: str, of: str = "code") -> str | None:
        """What Snakemake was told of the code, or `of` the source, of `path`, if it is recorded."""
        found = [text for text in self._params(path) or () if text[1:].startswith(f"{of} ")]
        return ast.literal_eval(found[0]) if found else None

    def make_again(self, paths: Iterable[str]) -> None:
        """Have those of the files in `paths` made again that are there without a record.

        Of these Snakemake cannot tell whether their parameters changed, and would let them be.
        """
        for path in paths:
            if Path(path).exists() and self._params(path) is None:
                self.workflow.dag.forcefiles.add(path)

    def _params(self, path: str) -> list[str] | None:
        from snakemake.io import IOFile

        found: list[str] | None = self.workflow.persistence.params(IOFile(path))
        return found

    def due(self) -> list[Due]:
        """The jobs that are going to run."""
        return [
            Due(job.rule.name, tuple(job.output), tuple(job.input.keys()), job.threads)
            for job in self.workflow.dag.needrun_jobs()
        ]

    def start(self) -> Start:
        """How jobs are started."""
        is_local = self.workflow.is_main_process and self.workflow.local_exec
        return Start(
            is_local=is_local,
            touches=self.workflow.touch,
            cores=self.workflow.cores if is_local else 1,  # elsewhere it need not be given
            gpus=self.workflow.global_resources.get("gpu").value or 0,
        )

    def before_jobs(self, check: Callable[[], None]) -> None:
        """Call `check` before the first job runs, not in a dry run.

        Not ``onstart``, which another workflow's module, and ``--no-hooks``, leave out: without
        the check finished results could be deleted.
        """
        from snakemake.scheduling.job_scheduler import JobScheduler

        schedule = JobScheduler.schedule

        def check_and_schedule(scheduler: Any) -> Any:
            if scheduler.workflow is self.workflow and not self.workflow.dryrun:
                check()
            return schedule(scheduler)

        JobScheduler.schedule = check_and_schedule

    def keep_records(self) -> None:
        """Where files are merely touched, leave what is on record of them as it is.

        Snakemake would note the present code and settings as those that made them.
        """
        if self.start().touches:
            self.workflow.execution_settings.keep_metadata = False

    def settle_triggers(self) -> None:
        """Let age and parameters alone decide what Snakemake makes again, as they have to here.

        Known once all rules are read. Raises `UserError` where other triggers were chosen, or
        where another workflow, with rules of its own, uses this one as a module.
        """
        settings = self.workflow.dag_settings
        chosen = {trigger.name.lower().replace("_", "-") for trigger in settings.rerun_triggers}
        if chosen == {*TRIGGERS}:
            return
        every = type(next(iter(settings.rerun_triggers))).all()
        if settings.rerun_triggers == every and self.snakefile.samefile(
            self.workflow.main_snakefile
        ):
            settings.rerun_triggers = frozenset(
                trigger for trigger in every if trigger.name.lower() in TRIGGERS
            )
            return
        raise UserError(
            f"rerun-triggers: {', '.join(sorted(chosen))}: with these, finished runs whose "
            "checkpoints were dropped would be made again; expected mtime and params alone. Add "
            "--rerun-triggers mtime params to the command, or rerun-triggers: [mtime, params] to "
            "the profile"
        )

    def require_no_prefix(self) -> None:
        """Raise `UserError` where a module puts files elsewhere: a path here says what it is of."""
        changes = self.workflow.modifier.path_modifier
        if changes.prefix or changes.modifies_prefixes:
            raise UserError(
                "prefix, replace_prefix: the files of this workflow stand below results/ in the "
                "working folder; leave these words out of the module, and choose the folder with "
                "--directory"
            )

    def prepare_executor(self) -> None:
        """Lift the limit of starts from local jobs, and keep the logs of SLURM's nameable."""
        if self.workflow.local_exec:
            lift_rate_limit(self.workflow.scheduler)
        else:
            shorten_slurm_logs()


def use_own_library(root: Path) -> None:
    """Let the scripts of all jobs import the library in `root`, beside this workflow.

    Snakemake puts that folder last on the path of a script: another copy of this project, on
    ``PYTHONPATH`` or installed, would do the work, and this one's digests would stand for it.
    """
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [str(root), *(path for path in others if path and path != str(root))]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


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
