"""Compare the arms of a figure: the tables of remedies and their page."""

from plasticity.scripts.call import call

call("summarise_remedies", snakemake)
