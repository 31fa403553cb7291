"""Methods by name, one a file: what acts during a stage besides its update rule.

To add one, put a file here with a subclass of `plasticity.interventions.method.Method`, which says
what its parts are given and may do, and a function that makes one of it: it is given the network of
the stage and another one as the run was initialised. What it tells of itself is in
`plasticity.runs.facts.MethodFacts`.
"""
