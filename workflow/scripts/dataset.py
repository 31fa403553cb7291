"""Prepare a data set from its source."""

from pathlib import Path
from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.data import storage
    from plasticity.runs import datasets

with logged(snakemake.log[0]) as log:
    name = snakemake.wildcards.dataset
    source = snakemake.params.source
    data = datasets.parse(name)(Path(source) if source else None, Path(snakemake.params.downloads))
    storage.write(data, name, snakemake.output.train, snakemake.output.test)
    log(f"{name}: {len(data.train_labels)} + {len(data.test_labels)} images from {data.source}")
