"""Judge the papers' claims from the study's tables."""

from plasticity.scripts.call import call

call("claims", snakemake)
