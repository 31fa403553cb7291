"""Any valid run, as hypothesis draws it, and how a wrong one is refused."""

from dataclasses import replace

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from plasticity.runs import (
    Ascending,
    Integer,
    Length,
    Number,
    Run,
    SpellingError,
    Stage,
    Word,
    data_selections,
    datasets,
    methods,
    models,
    optimisers,
    starts,
    transforms,
)
from plasticity.runs.bounds import LONGEST_STAGE
from plasticity.runs.combination import combination, methods_in_order
from plasticity.runs.length import PERCENT
from plasticity.runs.values import decimal

COLD = "cifar10/resnet18/seed0/full_adam-lr0.001_e500_init"
WARM = "cifar10/resnet18/seed0/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_reset5+6"
REGISTRIES = {
    "datasets": datasets,
    "models": models,
    "data_selections": data_selections,
    "optimisers": optimisers,
    "methods": methods,
    "starts": starts,
}


def values(kind, modules=6):
    """Valid values of `kind`, as often of the sort that people write as of any other."""
    match kind:
        case Number():
            low = kind.at_least if kind.above is None else kind.above
            high = kind.at_most if kind.below is None else kind.below
            # Numbers near the largest are spelt with 300 digits: right, and slow to shrink.
            numbers = st.floats(
                min_value=low,
                max_value=1e30 if high is None else high,
                exclude_min=kind.above is not None,
                exclude_max=kind.below is not None,
                allow_nan=False,
                allow_infinity=False,
            )
            usual = [0.0, 0.0001, 0.001, 0.05, 0.1, 0.5, 0.9]
            # Nor is there room for all of them in a folder's name.
            short = numbers.map(lambda x: float(decimal(x)[:40]) or 0.5)
            valid = short | st.sampled_from(usual).filter(lambda x: x > 0 or low is None)
        case Integer():
            valid = st.integers(kind.at_least, kind.at_most or min(kind.limit, 10**7))
        case Ascending():
            # The only sets so far are of module numbers, of which a model has so many.
            valid = st.sets(st.integers(kind.at_least, modules), min_size=1).map(sorted)
        case Word():
            valid = st.sampled_from(kind.words)
    return st.none() | valid if kind.default is None else valid


@st.composite
def terms(draw, registry, only=lambda member: True, modules=6):
    """Terms of all members of `registry` (those that `only` lets pass), with any valid options."""
    names = [name for name, member in registry.members.items() if only(member)]
    name = draw(st.sampled_from(sorted(names)))
    kinds = registry.members[name].template.kinds
    given_some = draw(st.booleans())
    options = {
        field: draw(values(kind, modules))
        for field, kind in kinds.items()
        if given_some or not _has_default(kind)
    }
    if name == "stage":  # what does not go together is tested apart
        options["stage"] = min(options["stage"], options["stages"])
        options["ratio"] = options["ratio"] if options["stages"] < 10 else 1.0
    if name == "chunk":
        options["chunk"] = min(options["chunk"], options["chunks"])
    if registry is starts and name == "mixed" and options["magnitudes"] == "k":
        options["signs"] = "init"
    term = registry.term(name, options)
    if registry is models:  # those whose one spelling is another name
        assume(str(term) == str(registry.read(str(term))))
    return term


def _has_default(kind):
    return kind.default is None or isinstance(kind.default, int | float | str | tuple)


def inherits(member):
    return member.facts.inherits


@st.composite
def lengths(draw, before=None):
    """Any length; one that goes on from the stage `before` ends after it."""
    units = ["e", "i", "until", *(["till"] if before else [])]
    unit = draw(st.sampled_from(units))
    shortest = 1 + (before.epochs or 0) if unit == "till" else 1
    percent = draw(values(PERCENT)) if unit == "until" else None
    return Length(unit, draw(st.integers(shortest, 10**6)), percent)


@st.composite
def together(draw, registry, in_order):
    """Terms of `registry` that go together, as they are `in_order`."""
    members = draw(st.sets(st.sampled_from(sorted(registry.members)), max_size=2))
    try:
        return in_order(draw(terms(registry, lambda m, n=name: m.name == n)) for name in members)
    except ValueError:
        return ()


@st.composite
def runs(draw):
    """Any valid run of one to four stages."""
    model = draw(terms(models))
    stages = []
    for position in range(draw(st.integers(1, 4))):
        pruned = any(stage.prunes for stage in stages)

        def allowed(member, wanted=bool(position), pruned=pruned):
            return inherits(member) in (wanted, None) and (pruned or not member.facts.rewinds)

        before = stages[-1].length if stages else None
        if before and (before.epochs == 10**6 or before.unit == "until"):
            before = None
        length = draw(lengths(before))
        start = draw(terms(starts, allowed, model.facts.count(**model.own)))
        if not position and start.member.name == "mixed":  # what "k" means there is tested apart
            start = starts.parse("ticket1-signs-init-magnitudes-fresh")
        carries = start.facts.keeps_optimiser  # to the same rule and head
        same = length.unit == "till"  # as is what an epoch is
        stage = Stage(
            data=stages[-1].data if same else draw(terms(data_selections)),
            optimiser=stages[-1].optimiser if same or carries else draw(terms(optimisers)),
            length=length,
            start=start,
            transforms=stages[-1].transforms
            if carries
            else draw(together(transforms, combination)),
            methods=draw(together(methods, methods_in_order)),
        )
        if length.unit == "until" and (stage.depends_on_length or start.facts.ticket):
            stage = replace(stage, length=Length("e", length.number))
        if len(str(stage)) > LONGEST_STAGE:  # which is refused, and tested apart
            stage = replace(stage, methods=())
        stages.append(stage)
    return Run(draw(terms(datasets)), model, draw(st.integers(0, 10**9)), tuple(stages))


def refused(path):
    with pytest.raises(SpellingError) as refusal:
        Run.parse(path)
    return str(refusal.value)
