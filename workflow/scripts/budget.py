"""Print what a study costs."""

from plasticity.scripts.call import call

call("budget", snakemake)
