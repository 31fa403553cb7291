"""Prepare a smaller variant of a data set."""

from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.data import storage
    from plasticity.data.raw import variant
    from plasticity.runs import datasets

with logged(snakemake.log[0]) as log:
    name = snakemake.wildcards.base + snakemake.wildcards.variant
    base = storage.read_raw(snakemake.input.train, snakemake.input.test)
    data = variant(base, datasets.parse(name))
    storage.write(data, name, snakemake.output.train, snakemake.output.test)
    log(f"{name}: {len(data.train_labels)} + {len(data.test_labels)} images")
