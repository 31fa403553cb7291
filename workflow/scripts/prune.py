"""Prune a network to the mask of a ticket."""

from plasticity.scripts.call import call

call("prune", snakemake)
