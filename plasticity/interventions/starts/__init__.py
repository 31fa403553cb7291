"""Starts by name, one a file: what happens to the weights between the stage before and this one.

To add one, put a file here with a function that changes the network in place. It is given the
network with the weights that the stage before ended with, and a generator of its own;
``network.fresh(generator)`` draws another network from the initial distribution. What it tells of
itself is in `plasticity.runs.facts.StartFacts`; one that asks for batches is given a
`plasticity.training.batches.ComingBatches` behind the generator.

Where the stage trains a sub-network, the function is declared by
`plasticity.interventions.tickets.ticket_start`.
"""
