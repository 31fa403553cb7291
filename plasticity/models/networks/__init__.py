"""Networks by name, one a file.

To add one, put a file here with a function that builds a `plasticity.models.network.Network` for a
number of classes and of input channels. Its facts are `plasticity.runs.facts.ModelFacts`.
"""
