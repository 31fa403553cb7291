"""The seven registries whose words make up a path."""

from plasticity.runs.bounds import MOST_EPOCHS
from plasticity.runs.facts import (
    DatasetFacts,
    MethodFacts,
    ModelFacts,
    OptimiserFacts,
    SelectionFacts,
    StartFacts,
    TransformFacts,
)
from plasticity.runs.registry import Registry
from plasticity.runs.values import Ascending, Integer, Word

SCHEDULES = ("cosine",)
"""How the learning rate of a stage can follow the whole of its length."""

datasets = Registry(
    "data set",
    DatasetFacts,
    home="plasticity.data.datasets",
    # A smaller variant: the first n training examples of a fixed shuffle; r by r pixels; the last
    # v of that shuffle leave training, and are evaluated beside the test set.
    suffix="[-n{examples}][-r{pixels}][-v{validation}]",
    examples=Integer(at_least=1, default=None),
    pixels=Integer(at_least=1, default=None),
    validation=Integer(at_least=1, default=None),
)
models = Registry(
    "model",
    ModelFacts,
    home="plasticity.models.networks",
    given=("classes", "channels", "height", "width"),
)
data_selections = Registry("data selection", SelectionFacts, home="plasticity.data.selections")
optimisers = Registry(
    "optimiser",
    OptimiserFacts,
    home="plasticity.interventions.rules",
    # The batch size belongs to the update rule. 128 as in Berariu et al., appendix A. The rate is
    # divided by 10 after each of the epochs in `drops`, rises over the first `warm` epochs, and
    # falls by a `schedule`: constant where there is none of them.
    suffix="[-b{batch}][-drop{drops}][-warm{warm}][-{schedule}]",
    batch=Integer(at_least=1, default=128),
    drops=Ascending(at_least=1, separator="x", default=()),
    warm=Integer(at_least=1, at_most=MOST_EPOCHS, default=None),
    schedule=Word(SCHEDULES, default=None),
)
methods = Registry(
    "method",
    MethodFacts,
    home="plasticity.interventions.methods",
    given=("network", "initial"),
)
transforms = Registry("transform", TransformFacts, home="plasticity.data.transforms")
starts = Registry(
    "start",
    StartFacts,
    home="plasticity.interventions.starts",
    given=lambda facts: facts.given,
)

REGISTRIES = (datasets, models, data_selections, optimisers, methods, transforms, starts)
