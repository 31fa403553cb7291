"""Measure how fast this device trains and evaluates the networks of a study."""

from plasticity.scripts.call import call

call("calibrate", snakemake)
