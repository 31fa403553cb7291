"""Draw one figure with made-up numbers."""

from plasticity.scripts.call import call

call("tables:draw_preview", snakemake)
