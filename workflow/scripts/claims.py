"""Judge the papers' claims from the study's tables."""

from plasticity.scripts.call import call

call("tables:judge_claims", snakemake)
