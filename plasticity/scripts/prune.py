"""Prune a network to the mask of a ticket."""

from __future__ import annotations

from pathlib import Path

from plasticity.core.logs import told_once
from plasticity.pipeline import digests
from plasticity.runs.layout import job_of
from plasticity.scripts.call import Given, Log
from plasticity.training.prune import make_mask


def main(given: Given, log: Log) -> None:
    """Prune a network to the mask of a ticket."""
    output = Path(given.output[0])
    with told_once(output.with_name("refused.txt"), given.resources.attempt):
        job = job_of(given.output[0])
        make_mask(
            job.run,
            Path(given.input.state),
            output,
            code=digests.require_unchanged(job),
            precision=given.params.precision,
            log=log,
        )
