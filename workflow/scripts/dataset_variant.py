"""Prepare a smaller variant of a data set."""

from plasticity.scripts.call import call

call("data:prepare_variant", snakemake)
