"""Draw one figure with made-up numbers."""

from __future__ import annotations

import json

from plasticity.analysis import preview
from plasticity.analysis.figures import render
from plasticity.scripts.call import Given, Log


def main(given: Given, log: Log) -> None:
    """Draw one figure with made-up numbers."""
    shown = preview.made_up_tables(
        given.params.title,
        json.loads(given.params.roles),
        json.loads(given.params.labels),
        given.params.observe,
        given.params.settings,
        given.params.arms,
    )
    render(given.params.draw, shown, dict(given.output.items()), preview.NOTE)
    log(f"drawn with {given.params.draw} from {len(shown.runs)} made-up runs")
