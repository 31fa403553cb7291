"""Prepare a data set from its source."""

from plasticity.scripts.call import call

call("dataset", snakemake)
