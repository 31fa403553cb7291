"""Data selections by name, one a file: which training examples a stage may use.

To add one, put a file here with a function of the labels, int64 [n], and a generator that returns
the indices of examples. What it may tell of itself is in `plasticity.runs.facts.SelectionFacts`.
"""
