"""Observe a run besides its metrics: its first steps, or the line to another order of its examples."""

from plasticity.scripts.call import call

call("training:observe", snakemake)
