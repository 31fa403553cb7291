"""Prune a network to the mask of a ticket."""

from __future__ import annotations

from pathlib import Path

from plasticity.pipeline import digests
from plasticity.scripts.call import Given, Log, attempted
from plasticity.training.prune import make_mask


def main(given: Given, log: Log) -> None:
    """Prune a network to the mask of a ticket."""
    with attempted(given) as job:
        make_mask(
            job.run,
            Path(given.input.state),
            Path(given.output[0]),
            code=digests.require_unchanged(digests.code_of(job)),
            precision=given.params.precision,
            log=log,
        )
