"""Prepare a smaller variant of a data set."""

from __future__ import annotations

from plasticity.data import storage
from plasticity.data.raw import variant
from plasticity.pipeline import digests
from plasticity.runs import datasets
from plasticity.scripts.call import Given, Log


def main(given: Given, log: Log) -> None:
    """Prepare a smaller variant of a data set."""
    name = given.wildcards.base + given.wildcards.variant
    base = storage.read_raw(given.input.train, given.input.test)
    smaller = datasets.parse(name)
    code = digests.require_unchanged(digests.variant(smaller))
    data = variant(base, smaller)
    storage.write(data, name, given.output.train, given.output.test, components=code.components)
    log(f"{name}: {len(data.train_labels)} + {len(data.test_labels)} images")
