"""What a run is: a chain of stages, spelt as a path (pure: no torch, no files)."""

from plasticity.runs.facts import (
    DatasetFacts,
    MethodFacts,
    ModelFacts,
    OptimiserFacts,
    SelectionFacts,
    StartFacts,
    TransformFacts,
)
from plasticity.runs.grammar import SpellingError, UnsuitableError
from plasticity.runs.length import Length
from plasticity.runs.registry import Member, Registry, Term
from plasticity.runs.run import RUNGS, Run, ancestors, states_of
from plasticity.runs.stage import Stage
from plasticity.runs.values import Ascending, Integer, Number, Word
from plasticity.runs.vocabulary import (
    data_selections,
    datasets,
    methods,
    models,
    optimisers,
    starts,
    transforms,
)

__all__ = [
    "RUNGS",
    "Ascending",
    "DatasetFacts",
    "Integer",
    "Length",
    "Member",
    "MethodFacts",
    "ModelFacts",
    "Number",
    "OptimiserFacts",
    "Registry",
    "Run",
    "SelectionFacts",
    "SpellingError",
    "Stage",
    "StartFacts",
    "Term",
    "TransformFacts",
    "UnsuitableError",
    "Word",
    "ancestors",
    "data_selections",
    "datasets",
    "methods",
    "models",
    "optimisers",
    "starts",
    "states_of",
    "transforms",
]
