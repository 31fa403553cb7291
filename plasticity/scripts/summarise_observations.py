"""Put what was observed of a figure's runs into one table."""

from __future__ import annotations

from plasticity.analysis import summary
from plasticity.scripts.call import Given, Log


def main(given: Given, log: Log) -> None:
    """Put what was observed of a figure's runs into one table."""
    observations = summary.observations_table(given.input)
    summary.write_table(given.output[0], observations)
    log(f"{len(observations)} observations of {len(given.input)} runs")
