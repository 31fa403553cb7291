"""Put what was observed of a figure's runs into one table."""

from __future__ import annotations

from plasticity.analysis.storage import write_table
from plasticity.analysis.summary.observations import observations_table
from plasticity.scripts.call import Given, Log


def main(given: Given, log: Log) -> None:
    """Put what was observed of a figure's runs into one table."""
    observations = observations_table(given.input)
    write_table(given.output[0], observations)
    log(f"{len(observations)} observations of {len(given.input)} runs")
