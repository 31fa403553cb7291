"""The jobs that are still needed, by the files that are there: results, and checkpoints that may
have been dropped.

A checkpoint that was dropped because nothing was left to read it is made again only for a run that
still has to be trained. Finished runs that once read it stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from plasticity.runs import Run, ancestors, layout
from plasticity.runs.kinds import PRETRAIN, Job

Present = Callable[[str], bool]
"""Whether a file is there."""

Current = Callable[[Job], bool]
"""Whether the result of a finished job is what it would be if it were made now."""


def pending(
    wanted: Iterable[Job],
    states: Iterable[Run] = (),
    current: Current = lambda job: True,
    present: Present = os.path.exists,
) -> frozenset[Job]:
    """The jobs that are missing for what is `wanted` and for the metrics of its pretraining.

    `states` are runs whose checkpoints are wanted for their own sake. Outdated results are left to
    Snakemake where what they start from is there; where it was dropped, they are missing too.
    """
    wanted = list(wanted)

    def is_missing(job: Job) -> bool:
        if not present(layout.done(job)):
            return True
        # A state that was trained before is needed again only for its own checkpoint.
        given = {name: one for name, one in job.inputs.items() if name != "rung"}
        needs = [job] if job.kind.state else given.values()
        return not all(present(layout.handed_on(one)) for one in needs) and not current(job)

    told = [Job(PRETRAIN, run) for run in ancestors(job.run for job in wanted)]
    waiting = [job for job in (*wanted, *told) if is_missing(job)]
    waiting += [job for job in (Job(PRETRAIN, run) for run in states) if not _is_made(job, present)]
    found: set[Job] = set()
    while waiting:
        job = waiting.pop()
        if job in found:
            continue
        found.add(job)
        for one in job.inputs.values():
            there = _is_made(one, present) if one.kind.state else not is_missing(one)
            if not there:
                waiting.append(one)
    return frozenset(found)


def _is_made(job: Job, present: Present) -> bool:
    """Whether the state that `job` makes is there, with what was measured on the way."""
    return present(layout.handed_on(job)) and present(layout.done(job))


def requires(
    job: Job,
    earlier: Job,
    needed: Callable[[], frozenset[Job]],
    current: Current = lambda job: False,
    present: Present = os.path.exists,
) -> bool:
    """Whether a `job` depends on the file that `earlier` hands on.

    A finished job does not where that file was dropped: otherwise Snakemake would make it again as
    soon as another one needs the same. Nor does it, if it is `current`, where the file is there, as
    it may have been made again since. `needed` are the jobs that are pending, which takes a while
    to find out and is asked only where it matters.
    """
    if not present(layout.done(job)) or job in needed():
        return True
    return present(layout.handed_on(earlier)) and not current(job)
