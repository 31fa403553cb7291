"""Train the last stage of a run."""

from plasticity.scripts.call import call

call("train", snakemake)
