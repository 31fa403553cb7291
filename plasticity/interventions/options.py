"""The options that most update rules have."""

from plasticity.runs import Number

LEARNING_RATE = Number(above=0)
MOMENTUM = Number(at_least=0, below=1, default=0.0)
WEIGHT_DECAY = Number(at_least=0, default=0.0)
