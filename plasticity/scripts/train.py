"""Train the last stage of a run."""

from __future__ import annotations

from plasticity.pipeline import digests
from plasticity.scripts.call import Given, Log, attempted, hardware_of, paths
from plasticity.training.stages import Inputs
from plasticity.training.train import Outputs, train_stage


def main(given: Given, log: Log) -> None:
    """Train the last stage of a run."""
    with attempted(given) as job:
        train_stage(
            job.run,
            Inputs(**paths(given.input)),
            Outputs(**paths(given.output)),
            hardware_of(given, given.resources),
            digests.require_unchanged(digests.code_of(job)),
            log,
            evaluate_every=given.resources.evaluate_every,
        )
