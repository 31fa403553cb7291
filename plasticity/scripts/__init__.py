"""What the workflow's scripts call: from what Snakemake hands them to functions of the library.

A script is one line; what it does is here, where the type checker and other tools see it.
"""
