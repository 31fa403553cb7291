"""Prune a network to the mask of a ticket."""

from __future__ import annotations

from pathlib import Path

from plasticity.core.logs import told_once
from plasticity.runs import Run
from plasticity.scripts.call import Given, Log, code_of
from plasticity.training.prune import make_mask


def main(given: Given, log: Log) -> None:
    """Prune a network to the mask of a ticket."""
    output = Path(given.output[0])
    with told_once(output.with_name("refused.txt"), given.resources.attempt):
        make_mask(
            Run.parse(given.params.run),
            Path(given.input.state),
            output,
            code=code_of(given),
            precision=given.params.precision,
            log=log,
        )
