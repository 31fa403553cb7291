"""What a configuration says of remedies: what each changes in a run, and what is tried of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from plasticity.core.errors import UserError, named
from plasticity.runs import starts
from plasticity.runs.bounds import LARGEST, MOST_POINTS
from plasticity.runs.roles import BOTH, COLD, LONG, WARM
from plasticity.runs.stage import methods_of
from plasticity.study.fields import Name, Section, Template, about


class ArmSettings(Section):
    """What a remedy changes in a warm start; a text is its start or, behind a `+`, methods."""

    start: Template | None = about("What tuning starts from, instead of `keep`.", None)
    methods: Template | None = about(
        "What acts beside the rule, spelt with a `+` before each, such as `+l2init0.001`.", None
    )
    optimiser: dict[StrictStr, Any] | None = about(
        "Another update rule: `rule` and its options, with the batch and the schedule of the one "
        "that is there; or options alone of that one.",
        None,
    )
    pretrain: StrictBool = about(
        "Whether methods and optimiser act in pretraining too; the arm then ends with `-both`.",
        False,
    )

    @model_validator(mode="after")
    def _spelt(self) -> ArmSettings:
        try:
            if self.start is not None and str(starts.parse(self.start)) == "keep":
                raise ValueError("'keep' is the plain warm start itself")
            if self.methods is not None:
                methods_of(self.methods)
        except UserError as error:
            raise ValueError(str(error)) from None
        if self.pretrain and not self.acts:
            raise ValueError("pretrain: neither methods nor an optimiser are there to act in it")
        return self

    @property
    def acts(self) -> bool:
        """Whether something of it acts during a stage."""
        return bool(self.methods or self.optimiser)

    def over(self, other: ArmSettings) -> ArmSettings:
        """What `other` changes, where this one does not say otherwise."""
        optimiser = self.optimiser
        if optimiser and other.optimiser and "rule" not in optimiser:
            optimiser = {**other.optimiser, **optimiser}
        return ArmSettings(
            start=self.start or other.start,
            methods=self.methods or other.methods,
            optimiser=optimiser or other.optimiser,
            pretrain=other.pretrain,
        )


def _arm(value: Any) -> Any:
    """The change that a text alone means, as a mapping."""
    if not isinstance(value, str):
        return value
    return {"methods" if value.startswith("+") else "start": value}


Arm = Annotated[ArmSettings, BeforeValidator(_arm, json_schema_input_type=StrictStr | ArmSettings)]


def _changes(arms: dict[str, ArmSettings]) -> dict[str, ArmSettings]:
    for name, arm in arms.items():
        if arm == ArmSettings():
            raise ValueError(
                f"{named(name)}: changes nothing; name a start, methods or an optimiser"
            )
        if name.endswith(BOTH) and not arm.pretrain:
            raise ValueError(f"{name}: ends like what acts in pretraining too; add pretrain: true")
        if name in (COLD, WARM, LONG):
            raise ValueError(f"{name}: is what a plain run is called; choose another name")
    return arms


def _left(given: Any) -> Any:
    """What is `given` by name, without what an overlay takes out: that is null."""
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if value is not None}


Arms = Annotated[
    dict[Name, Arm],
    BeforeValidator(_left, json_schema_input_type=dict[Name, Arm | None]),
    AfterValidator(_changes),
]

Points = Annotated[list[Arm], Field(min_length=1, max_length=MOST_POINTS)]


class TuneSettings(Section):
    """What is tried of every arm of a figure, as much of each; validation accuracy chooses."""

    validation: Annotated[StrictInt, Field(ge=1, le=LARGEST)] = about(
        "How many training examples are held out (`-v` of the data set) to choose by."
    )
    points: Annotated[
        dict[Name, Points],
        BeforeValidator(_left, json_schema_input_type=dict[Name, Points | None]),
    ] = about(
        "What is tried, by `cold`, `warm` and each arm: lists of one length, each entry as an arm "
        "or `{}`, over what the arm says itself."
    )

    @model_validator(mode="after")
    def _equal(self) -> TuneSettings:
        sizes = {name: len(points) for name, points in self.points.items()}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name}: {size}" for name, size in sizes.items())
            raise ValueError(f"points: expected as many for every arm, got {listed}")
        for name, points in self.points.items():
            for place, point in enumerate(points):
                if point.pretrain:
                    raise ValueError(f"points.{name}.{place}.pretrain: belongs to the arm itself")
                if name in (COLD, WARM) and (point.start or point.methods):
                    raise ValueError(
                        f"points.{name}.{place}: expected an optimiser; what else changes makes "
                        "another arm"
                    )
        return self
