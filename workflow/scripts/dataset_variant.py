"""Prepare a smaller variant of a data set."""

from typing import TYPE_CHECKING

from plasticity.jobs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.datasets import storage
    from plasticity.datasets.raw import variant
    from plasticity.spec import datasets

with logged(snakemake.log[0]) as log:
    name = snakemake.wildcards.base + snakemake.wildcards.variant
    base = storage.read_raw(snakemake.input.train, snakemake.input.test)
    data = variant(base, datasets.parse(name))
    storage.write(data, name, snakemake.output.train, snakemake.output.test)
    log(f"{name}: {len(data.train_labels)} + {len(data.test_labels)} images")
