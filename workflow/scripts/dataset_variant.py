"""Prepare a smaller variant of a data set."""

from plasticity.scripts.call import call

call("dataset_variant", snakemake)
