"""Data sets by name, one a file: where each one comes from.

To add one, put a file here with a function that returns a `plasticity.data.raw.RawData`. It is
given the place that the configuration names under ``sources`` (or None) and a folder for downloads.
Its facts, `plasticity.runs.facts.DatasetFacts`, tell what a study on it costs, and which splits it
allows, before anything is prepared. Data of other shapes and types, with other channels or more
examples than declared are refused in words (`plasticity.data.raw`). Parquet files in the hub's
layout are read by `plasticity.data.sources.from_parquet`.
"""
