"""Numbers taken from weights, gradients and batches."""
