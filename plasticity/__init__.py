"""Warm starts, plasticity and the early phase of training, as chains of training stages."""
