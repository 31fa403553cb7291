"""Networks by name, one a file.

To add one, put a file here with a function that builds any torch module for a number of classes and
of input channels, and the height and width of the images: it maps these to logits. What is known of
it beforehand are its `plasticity.runs.facts.ModelFacts`.
"""
