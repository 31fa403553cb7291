"""Count what the networks of a study cost on any device."""

from plasticity.scripts.call import call

call("network_costs", snakemake)
