"""Draw the examples that a stage may use."""

from plasticity.scripts.call import call

call("split", snakemake)
