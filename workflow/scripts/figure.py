"""Draw one figure."""

from plasticity.scripts.call import call

call("figure", snakemake)
