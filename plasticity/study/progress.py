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


@dataclass(frozen=True)
class Jobs:
    """Runs whose last stage is to be trained, as pretraining and as tuning."""

    pretrain: frozenset[Run]
    tune: frozenset[Run]


def left(
    runs: Iterable[Run], pretrained: Iterable[Run] = (), present: Present = os.path.exists
) -> Jobs:
    """The jobs that are missing for the tuned `runs` and for what is told of their pretraining.

    `pretrained` are runs whose checkpoints are wanted for their own sake.
    """
    runs = list(runs)
    tune = [run for run in runs if not present(layout.metrics(run, "tune"))]
    waiting = [*pretrained, *(run.parent for run in tune if run.parent)]
    waiting += [run for run in ancestors(runs) if not present(layout.metrics(run, "pretrain"))]
    pretrain: set[Run] = set()
    while waiting:
        run = waiting.pop()
        made = all(map(present, (layout.checkpoint(run), layout.metrics(run, "pretrain"))))
        if run not in pretrain and not made:
            pretrain.add(run)
            waiting += [before for before in (run.parent, run.rung) if before]
    return Jobs(frozenset(pretrain), frozenset(tune))


def is_finished(run: Run, kind: str, needed: Jobs, present: Present = os.path.exists) -> bool:
    """Whether `run` was trained as a `kind` of job and what it was trained from was dropped.

    Such a job must not depend on the dropped checkpoint any more: Snakemake would train it again as
    soon as another run needs the same one. `needed` says which dropped ones are themselves wanted.
    """
    if not present(layout.metrics(run, kind)):
        return False
    if kind == "pretrain":
        return not present(layout.checkpoint(run)) and run not in needed.pretrain
    return run.parent is not None and not present(layout.checkpoint(run.parent))
