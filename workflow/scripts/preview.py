"""Draw one figure with made-up numbers."""

from plasticity.scripts.call import call

call("preview", snakemake)
