"""Scripts that prepare data sets and draw the examples that a stage may use."""

from __future__ import annotations

from pathlib import Path

from plasticity.data import splits, storage
from plasticity.data.raw import variant
from plasticity.runs import data_selections, datasets
from plasticity.scripts.call import Given, Log


def prepare(given: Given, log: Log) -> None:
    """Prepare a data set from its source."""
    name, source = given.wildcards.dataset, given.params.source
    read = datasets.parse(name)
    data = read(Path(source) if source else None, Path(given.params.downloads))
    storage.write(data, name, given.output.train, given.output.test)
    log(f"{name}: {len(data.train_labels)} + {len(data.test_labels)} images from {data.source}")


def prepare_variant(given: Given, log: Log) -> None:
    """Prepare a smaller variant of a data set."""
    name = given.wildcards.base + given.wildcards.variant
    base = storage.read_raw(given.input.train, given.input.test)
    data = variant(base, datasets.parse(name))
    storage.write(data, name, given.output.train, given.output.test)
    log(f"{name}: {len(data.train_labels)} + {len(data.test_labels)} images")


def split(given: Given, log: Log) -> None:
    """Draw the examples that a stage may use."""
    labels, header = storage.read_labels(given.input[0])
    selection = data_selections.parse(given.wildcards.data)
    seed = int(given.wildcards.seed)
    splits.write(given.output[0], selection, labels, header.classes, seed)
    log(f"{selection}: drawn from {len(labels)} examples by seed {seed}")
