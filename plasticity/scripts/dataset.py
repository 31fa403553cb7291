"""Prepare a data set from its source."""

from __future__ import annotations

from pathlib import Path

from plasticity.data import storage
from plasticity.pipeline import digests
from plasticity.runs import datasets
from plasticity.scripts.call import Given, Log


def main(given: Given, log: Log) -> None:
    """Prepare a data set from its source."""
    name, source = given.wildcards.dataset, given.params.source
    read = datasets.parse(name)
    code = digests.require_unchanged(digests.dataset(read))
    data = read(Path(source) if source else None, Path(given.params.downloads))
    storage.write(data, name, given.output.train, given.output.test, code.components)
    log(f"{name}: {len(data.train_labels)} + {len(data.test_labels)} images from {data.source}")
