"""Put what was observed of a figure's runs into one table."""

from plasticity.scripts.call import call

call("summarise_observations", snakemake)
