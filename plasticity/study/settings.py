"""The configuration as typed data: checked once, with one message for everything that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from plasticity.core.errors import UserError, named, shown
from plasticity.runs import OptimiserFacts, Registry, Term, datasets, models, optimisers, starts
from plasticity.runs.bounds import (
    LARGEST,
    MOST_EPOCHS,
    MOST_IN_A_GROUP,
    MOST_POINTS,
    MOST_SLOTS,
    MOST_THREADS,
)
from plasticity.runs.cadence import Cadence
from plasticity.runs.compute import Execution, Precision, impossible
from plasticity.study.datasets import DatasetSettings
from plasticity.study.explain import explain, unknown
from plasticity.study.fields import (
    Distinct,
    Drawing,
    Epochs,
    GridValues,
    Keep,
    Name,
    Place,
    Seeds,
    Template,
    Text,
    Throughput,
)

RESERVED = {"all", "dataset", "dataset_variant", "split", "pretrain", "tune", "figure"} | {
    "summarise_figure",
    "summarise_study",
    "pretrain_rung",
    "summarise_observations",
    "prune",
    "telemetry",
    "connectivity",
    "claims",
    "group_claims",
    "budget",
    "preview",
    "preview_figure",
    "calibrate",
    "network_costs",
    "misspelt",
}
"""Names of rules, which are targets already."""


FILLED = ("seed", "i", "start")
"""Words in braces that no configuration may define: `plasticity.study.template` fills them."""


OBSERVED = {"telemetry": "telemetry", "connectivity": "connectivity"}
"""Modules of `plasticity.analysis.figures` that draw what is observed, and which kind of it."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FigureSettings(_Settings):
    """One figure: what is drawn, from which runs, over which grid."""

    title: Text
    caption: Text
    draw: Drawing
    runs: dict[Name, Template] = Field(min_length=1)
    labels: dict[Name, Text] = Field(default_factory=dict)
    grid: dict[Name, GridValues] = Field(default_factory=dict)
    dataset: Template | None = None
    model: Template | None = None
    seeds: Seeds | None = None
    observe: Literal["telemetry", "connectivity"] | None = None

    @model_validator(mode="after")
    def _observed(self) -> FigureSettings:
        needed = OBSERVED.get(self.draw)
        if needed and self.observe != needed:
            raise ValueError(f"observe: expected {needed}, which draw: {self.draw} shows")
        return self

    @model_validator(mode="after")
    def _known_labels(self) -> FigureSettings:
        for variable in self.grid:
            if variable in FILLED:
                raise ValueError(f"grid.{variable}: has a meaning of its own; choose another name")
        for role in self.labels:
            if role not in self.runs:
                raise ValueError(unknown("labels", "role", role, self.runs))
        return self


class TelemetrySettings(_Settings):
    """When the weights are looked at, in steps: see `plasticity.runs.cadence.Cadence`."""

    iterations: StrictInt = Cadence.iterations
    each: StrictInt = Cadence.each
    per_decade: StrictInt = Cadence.per_decade
    evaluations_per_decade: StrictInt = Cadence.evaluations_per_decade

    @model_validator(mode="after")
    def _within_bounds(self) -> TelemetrySettings:
        Cadence(**self.model_dump())
        return self


class ConnectivitySettings(_Settings):
    """Between two states: `points` on the line, and how many training `examples` to evaluate on."""

    points: Annotated[StrictInt, Field(ge=3, le=MOST_POINTS)] = 11
    examples: Annotated[StrictInt, Field(ge=1, le=LARGEST)] = 10_000


class Settings(_Settings):
    """The whole configuration, as ``config.yaml`` and its overlays spell it."""

    study: Name
    dataset: Template
    model: Template
    seeds: Seeds
    device: Literal["cuda", "cpu"]
    slots_per_gpu: Annotated[StrictInt, Field(ge=1, le=MOST_SLOTS)]
    precision: Precision
    execution: Execution = "auto"
    threads: Annotated[StrictInt, Field(ge=1, le=MOST_THREADS)]
    keep: Keep
    evaluate_every: Annotated[StrictInt, Field(ge=1, le=MOST_EPOCHS)] = Field(
        1,
        description="Epochs from one evaluation on the test set to the next; those that the final "
        "accuracy is taken over are always evaluated. It saves time, and no training is another.",
    )
    images_per_second: Throughput | None = None
    retrain: bool = False  # not strict: `--config retrain=true` arrives as text
    lengths: dict[Name, Epochs]
    optimisers: dict[Name, dict[StrictStr, Any]]
    sources: dict[StrictStr, Place | None] = Field(default_factory=dict)
    datasets: dict[Name, DatasetSettings] = Field(
        default_factory=dict,
        description="Data sets of one's own, by the name that they have in paths.",
    )
    remedies: dict[Name, Template] = Field(default_factory=dict)
    targets: Annotated[list[Name], Distinct]
    groups: dict[Name, Annotated[list[Name], Field(max_length=MOST_IN_A_GROUP), Distinct]] = Field(
        default_factory=dict
    )
    telemetry: TelemetrySettings = TelemetrySettings()
    connectivity: ConnectivitySettings = ConnectivitySettings()
    figures: dict[Name, FigureSettings]

    @field_validator("dataset", "model")
    @classmethod
    def _spelt_place(cls, text: str, info: ValidationInfo) -> str:
        if "{" not in text:  # words in braces are filled by each figure's grid
            words: Registry[Any] = datasets if info.field_name == "dataset" else models
            try:
                words.parse(text)
            except UserError as error:
                raise ValueError(str(error)) from None
        return text

    @field_validator("sources")
    @classmethod
    def _known_sources(cls, sources: dict[str, str | None]) -> dict[str, str | None]:
        for name in sources:
            try:
                term = datasets.parse(name)
            except UserError as error:
                raise ValueError(f"sources.{named(name)}: {error}") from None
            if term.facts.own:
                raise ValueError(f"sources.{name}: {term.facts.own.key} names its place already")
            if str(term) != term.member.template.name:
                raise ValueError(
                    f"sources.{name}: variants are made from {term.member.template.name}"
                    ": name the source of that"
                )
        return sources

    @field_validator("optimisers")
    @classmethod
    def _spelt_optimisers(cls, entries: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, entry in entries.items():
            try:
                optimiser(name, entry)
            except UserError as error:
                raise ValueError(str(error)) from None
        return entries

    @field_validator("remedies")
    @classmethod
    def _spelt_remedies(cls, remedies: dict[str, str]) -> dict[str, str]:
        for name, start in remedies.items():
            try:
                starts.parse(start)
            except UserError as error:
                raise ValueError(f"remedies.{name}: {error}") from None
            if start == "keep":
                raise ValueError(f"remedies.{name}: 'keep' is the plain warm start itself")
        return remedies

    @model_validator(mode="after")
    def _on_this_device(self) -> Settings:
        complaint = impossible(self.device, precision=self.precision, execution=self.execution)
        if complaint:
            raise ValueError(complaint)
        return self

    @model_validator(mode="after")
    def _known_targets(self) -> Settings:
        for target in self.targets:
            if target not in self.figures:
                raise ValueError(unknown("targets", "figure", target, self.figures))
        for group, names in self.groups.items():
            for name in names:
                if name not in self.figures:
                    raise ValueError(unknown(f"groups.{group}", "figure", name, self.figures))
        for key in ("figures", "groups"):
            for name in getattr(self, key):
                if name in RESERVED:
                    raise ValueError(f"{key}.{name}: a rule has this name; choose another")
        for name in self.groups:
            if name in self.figures:
                raise ValueError(f"groups.{name}: a figure has the same name; rename one")
        for key in ("lengths", "optimisers"):
            for name in getattr(self, key):
                if name in FILLED:
                    raise ValueError(f"{key}.{name}: has a meaning of its own; choose another name")
        for name in self.lengths:
            if name in self.optimisers:
                raise ValueError(f"lengths.{name}: an optimiser has the same name; rename one")
        return self

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Settings:
        """`config` checked; raises `UserError` with everything that is wrong, a line each."""
        try:
            return cls.model_validate(dict(config))
        except ValidationError as error:
            sections: dict[str, type[BaseModel]] = {
                "": cls,
                "figures": FigureSettings,
                "telemetry": TelemetrySettings,
                "connectivity": ConnectivitySettings,
                "datasets": DatasetSettings,
            }
            raise UserError(explain(error, sections)) from None

    @cached_property
    def rules(self) -> dict[str, Term[OptimiserFacts]]:
        """The optimisers as words of a path, by the names that the configuration gives them."""
        return {name: optimiser(name, entry) for name, entry in self.optimisers.items()}


def optimiser(name: str, entry: Mapping[str, Any]) -> Term[OptimiserFacts]:
    """The optimiser that the configuration gives by its rule and options."""
    if not isinstance(entry.get("rule"), str):
        known = ", ".join(optimisers.members)
        found = f"got {shown(entry['rule'])}" if "rule" in entry else "missing"
        raise UserError(f"optimisers.{name}.rule: {found}; expected one of {known}")
    try:
        options = {key: value for key, value in entry.items() if key != "rule"}
        return optimisers.term(entry["rule"], options)
    except UserError as error:
        raise UserError(f"optimisers.{name}.rule: {error}") from None
    except ValueError as error:
        raise UserError(f"optimisers.{name}.{error}") from None
