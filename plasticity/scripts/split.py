"""Draw the examples that a stage may use."""

from __future__ import annotations

from plasticity.data import splits, storage
from plasticity.pipeline import digests
from plasticity.runs import data_selections
from plasticity.scripts.call import Given, Log


def main(given: Given, log: Log) -> None:
    """Draw the examples that a stage may use."""
    labels, header = storage.read_labels(given.input[0])
    selection = data_selections.parse(given.wildcards.data)
    seed = int(given.wildcards.seed)
    code = digests.require_unchanged(digests.split(selection))
    splits.write(given.output[0], selection, labels, header.classes, seed, code.components)
    log(f"{selection}: drawn from {len(labels)} examples by seed {seed}")
