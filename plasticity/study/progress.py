"""What is left to train, by the files that are there: results, and checkpoints kept or dropped.

A checkpoint that was dropped because nothing was left to read it is made again only for a run that
still has to be trained. Finished runs that once read it stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from plasticity import layout
from plasticity.spec import Run, ancestors

Present = Callable[[str], bool]
"""Whether a file is there."""

Current = Callable[[Run, str], bool]
"""Whether a finished run is, as a kind of job, what it would be if it were trained now."""


@dataclass(frozen=True)
class Jobs:
    """Runs whose last stage is to be trained, as pretraining and as tuning."""

    pretrain: frozenset[Run]
    tune: frozenset[Run]


def left(
    runs: Iterable[Run],
    pretrained: Iterable[Run] = (),
    current: Current = lambda run, kind: True,
    present: Present = os.path.exists,
) -> Jobs:
    """The jobs that are missing for the tuned `runs` and for what is told of their pretraining.

    `pretrained` are runs whose checkpoints are wanted for their own sake. Outdated results are left
    to Snakemake where what they start from is there; where it was dropped, they are missing too.
    """
    runs = list(runs)

    def lacks(run: Run, kind: str, start: Run | None) -> bool:
        if not present(layout.metrics(run, kind)):
            return True
        return (
            start is not None and not present(layout.checkpoint(start)) and not current(run, kind)
        )

    tune = [run for run in runs if lacks(run, "tune", run.parent)]
    waiting = [*pretrained, *(run.parent for run in tune if run.parent)]
    waiting += [run for run in ancestors(runs) if lacks(run, "pretrain", run)]
    pretrain: set[Run] = set()
    while waiting:
        run = waiting.pop()
        made = all(map(present, (layout.checkpoint(run), layout.metrics(run, "pretrain"))))
        if run not in pretrain and not made:
            pretrain.add(run)
            waiting += [before for before in (run.parent, run.rung) if before]
    return Jobs(frozenset(pretrain), frozenset(tune))


def still_needs(
    run: Run,
    kind: str,
    earlier: Run,
    needed: Jobs,
    current: Current = lambda run, kind: False,
    present: Present = os.path.exists,
) -> bool:
    """Whether `run`, as a `kind` of job, depends on the checkpoint of `earlier`.

    A finished run does not where that checkpoint was dropped: otherwise Snakemake would train it
    again as soon as another run needs the same one. Nor does it, if it is `current`, where the
    checkpoint is there, as it may have been made again since. `needed` are the jobs that are left.
    """
    wanted = run in (needed.tune if kind == "tune" else needed.pretrain)
    if wanted or not present(layout.metrics(run, kind)):
        return True
    return present(layout.checkpoint(earlier)) and not current(run, kind)
