"""Draw the examples that a stage may use."""

from typing import TYPE_CHECKING

from plasticity.core.logs import imports, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with imports():
    from plasticity.data import splits, storage
    from plasticity.runs import data_selections

with logged(snakemake.log[0]) as log:
    labels, header = storage.read_labels(snakemake.input[0])
    selection = data_selections.parse(snakemake.wildcards.data)
    seed = int(snakemake.wildcards.seed)
    splits.write(snakemake.output[0], selection, labels, header.classes, seed)
    log(f"{selection}: drawn from {len(labels)} examples by seed {seed}")
