"""Train the last stage of a run."""

from __future__ import annotations

from plasticity.core.logs import told_once
from plasticity.pipeline import digests
from plasticity.runs.layout import job_of
from plasticity.scripts.call import Given, Log, hardware_of, paths
from plasticity.training.stages import Inputs
from plasticity.training.train import Outputs, train_stage


def main(given: Given, log: Log) -> None:
    """Train the last stage of a run."""
    outputs = Outputs(**paths(given.output))
    with told_once(outputs.metrics.with_name("refused.txt"), given.resources.attempt):
        job = job_of(given.output.metrics)
        train_stage(
            job.run,
            Inputs(**paths(given.input)),
            outputs,
            hardware_of(given, given.resources),
            digests.require_unchanged(job),
            log,
        )
