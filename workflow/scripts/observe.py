"""Observe a run besides its metrics, in the way that its rule names."""

from plasticity.scripts.call import call

call("observe", snakemake)
