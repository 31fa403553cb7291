"""Turn metrics files into the tables of runs, curves and gaps."""

from plasticity.scripts.call import call

call("summarise", snakemake)
