"""Prepare a data set from its source."""

from __future__ import annotations

from pathlib import Path

from plasticity.data import declared, storage
from plasticity.data.raw import remarks
from plasticity.pipeline import digests
from plasticity.runs import datasets
from plasticity.scripts.call import Given, Log


def main(given: Given, log: Log) -> None:
    """Prepare a data set from its source."""
    name = datasets.parse(given.wildcards.dataset)
    source = Path(given.params.source) if given.params.source else None
    code = digests.require_unchanged(digests.dataset(name))
    # Before it is read, so that no change hides.
    files = dict(declared.files_of(source, name.facts))
    data = name(source, Path(given.params.downloads))
    notes = remarks(data, name)
    train, test = given.output.train, given.output.test
    header = storage.write(data, str(name), train, test, files, code.components)
    log(f"{name}: {len(data.train_labels)} + {len(data.test_labels)} images from {data.source}")
    for channel in header.constant_channels:
        notes.append(f"channel {channel} is constant: its deviation counts as 1")
    for note in notes:
        log(f"note: {note}")
