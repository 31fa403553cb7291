"""Observe a run besides its metrics, in the way that its rule names."""

from __future__ import annotations

from pathlib import Path

from plasticity.observe.connectivity import observe_connectivity
from plasticity.observe.telemetry import observe_telemetry
from plasticity.pipeline import digests
from plasticity.runs.cadence import Cadence
from plasticity.runs.kinds import CONNECTIVITY, OF_RULES, TELEMETRY
from plasticity.scripts.call import Given, Log, attempted, hardware_of, paths
from plasticity.training.stages import Inputs


def main(given: Given, log: Log) -> None:
    """Observe a run besides its metrics, in the way that its rule names."""
    {TELEMETRY: telemetry, CONNECTIVITY: connectivity}[OF_RULES[given.rule]](given, log)


def telemetry(given: Given, log: Log) -> None:
    """Observe the weights in the first updates of a run."""
    inputs = paths(given.input)
    final = inputs.pop("final")
    with attempted(given) as job:
        observe_telemetry(
            job.run,
            Inputs(**inputs),
            final,
            Path(given.output[0]),
            hardware_of(given, given.resources),
            Cadence(**given.params.settings),
            digests.require_unchanged(digests.code_of(job, given.params.settings)),
            log,
        )


def connectivity(given: Given, log: Log) -> None:
    """Observe a run on the line to the same run with another order of its examples."""
    inputs = paths(given.input)
    ends = inputs.pop("one"), inputs.pop("other")
    with attempted(given) as job:
        observe_connectivity(
            job.run,
            Inputs(**inputs),
            ends,
            Path(given.output[0]),
            hardware_of(given, given.resources),
            given.params.settings["points"],
            given.params.settings["examples"],
            digests.require_unchanged(digests.code_of(job, given.params.settings)),
            log,
        )
