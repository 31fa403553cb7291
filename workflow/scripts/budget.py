"""Print what a study costs, before anything of it is run."""

from plasticity.scripts.call import call

call("costs:tell_budget", snakemake)
