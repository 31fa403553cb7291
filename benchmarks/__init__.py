"""Benchmarks: how far the workflow and its tables scale. Run from the project's folder, by hand."""
