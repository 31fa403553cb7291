"""Observe a run besides its metrics: its first steps, or the line to its other order."""

from plasticity.scripts.call import call

call("training:observe", snakemake)
