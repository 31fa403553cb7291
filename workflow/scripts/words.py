"""Print every word that a path, a configuration or a figure may hold, with its options."""

from plasticity.scripts.call import call

call("words", snakemake)
