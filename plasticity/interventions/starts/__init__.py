"""Starts by name, one a file: what happens to the weights between the stage before and this one.

To add one, put a file here with a function that changes the network in place. It is given the
network with the weights that the stage before ended with, and a generator of its own;
``network.fresh(generator)`` draws another network from the initial distribution. What it tells of
itself is in `plasticity.runs.facts.StartFacts`: by it, a start asks for batches, of which it is
given a `plasticity.training.batches.ComingBatches`, for the network as the run was initialised and
for the run's seed, behind the generator and in this order. Remedies are described in
docs/remedies.md.

Where the stage trains a sub-network, the function is declared by
`plasticity.interventions.tickets.ticket_start`.
"""
