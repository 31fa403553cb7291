"""The configuration as typed data: checked once, with one message for everything that is wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from plasticity.errors import UserError
from plasticity.spec import datasets, models, optimisers, starts
from plasticity.spec.values import describe

FIGURES = Path(__file__).parents[1] / "figures"


RESERVED = {"all", "dataset", "dataset_variant", "split", "pretrain", "tune", "figure"} | {
    "summarise_figure",
    "summarise_study",
    "pretrain_rung",
    "claims",
    "budget",
    "calibrate",
    "network_costs",
}
"""Names of rules, which are targets already."""


FILLED = ("seed", "i", "start")
"""Words in braces that no configuration may define: `plasticity.study.template` fills them."""


def _distinct(values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError("is empty; expected at least one value")
    twice = [value for position, value in enumerate(values) if value in values[:position]]
    if twice:
        raise ValueError(f"holds {twice[0]!r} twice; remove one")
    return values


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", value):
        raise ValueError(
            f"got {value!r}; expected a lower-case letter, then letters, digits, '_' or '-'"
        )
    return value


def _drawing(value: str) -> str:
    """A module of `plasticity.figures` that draws."""
    known = {path.stem for path in FIGURES.glob("*.py")} - {"__init__", "style"}
    if value not in known:
        raise ValueError(f"got {value!r}; expected one of {', '.join(sorted(known))}")
    return value


Name = Annotated[StrictStr, AfterValidator(_name)]
Seeds = Annotated[list[Annotated[StrictInt, Field(ge=0)]], AfterValidator(_distinct)]
GridValues = Annotated[list[StrictInt | StrictFloat | StrictStr], AfterValidator(_distinct)]
Keep = Literal["all", "rungs", "results"]
Length = Annotated[StrictInt, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FigureSettings(_Settings):
    """One figure: what is drawn, from which runs, over which grid."""

    title: StrictStr
    caption: StrictStr
    draw: Annotated[StrictStr, AfterValidator(_drawing)]
    runs: dict[Name, StrictStr] = Field(min_length=1)
    labels: dict[Name, StrictStr] = Field(default_factory=dict)
    grid: dict[Name, GridValues] = Field(default_factory=dict)
    dataset: StrictStr | None = None
    model: StrictStr | None = None
    seeds: Seeds | None = None

    @model_validator(mode="after")
    def _known_labels(self) -> FigureSettings:
        for variable in self.grid:
            if variable in FILLED:
                raise ValueError(f"grid.{variable}: has a meaning of its own; choose another name")
        for role in self.labels:
            if role not in self.runs:
                raise ValueError(unknown("labels", "role", role, self.runs))
        return self


class Settings(_Settings):
    """The whole configuration, as ``config.yaml`` and its overlays spell it."""

    study: Name
    dataset: StrictStr
    model: StrictStr
    seeds: Seeds
    device: Literal["cuda", "cpu"]
    slots_per_gpu: Annotated[StrictInt, Field(ge=1)]
    precision: Literal["float32", "bfloat16"]
    threads: Annotated[StrictInt, Field(ge=1)]
    keep: Keep
    images_per_second: Annotated[StrictFloat, Field(gt=0, allow_inf_nan=False)] | None = None
    retrain: bool = False  # not strict: `--config retrain=true` arrives as text
    lengths: dict[Name, Length]
    optimisers: dict[Name, dict[StrictStr, Any]]
    sources: dict[StrictStr, StrictStr | None] = Field(default_factory=dict)
    remedies: dict[Name, StrictStr] = Field(default_factory=dict)
    targets: Annotated[list[Name], AfterValidator(_distinct)]
    figures: dict[Name, FigureSettings]

    @field_validator("dataset", "model")
    @classmethod
    def _spelt_place(cls, text: str, info: ValidationInfo) -> str:
        if "{" not in text:  # words in braces are filled by each figure's grid
            try:
                {"dataset": datasets, "model": models}[str(info.field_name)].parse(text)
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
                raise ValueError(f"sources.{name}: {error}") from None
            if term.options["examples"] or term.options["pixels"]:
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
                spell_optimiser(name, entry)
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
    def _known_targets(self) -> Settings:
        for target in self.targets:
            if target not in self.figures:
                raise ValueError(unknown("targets", "figure", target, self.figures))
        for name in self.figures:
            if name in RESERVED:
                raise ValueError(f"figures.{name}: a rule has this name; choose another")
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
            raise UserError(_explain(error)) from None


def spell_optimiser(name: str, entry: Mapping[str, Any]) -> str:
    """The token of an optimiser that the configuration gives by its rule and options."""
    if not isinstance(entry.get("rule"), str):
        known = ", ".join(optimisers.members)
        found = f"got {entry['rule']!r}" if "rule" in entry else "missing"
        raise UserError(f"optimisers.{name}.rule: {found}; expected one of {known}")
    try:
        options = {key: value for key, value in entry.items() if key != "rule"}
        return str(optimisers.term(entry["rule"], options))
    except UserError as error:
        raise UserError(f"optimisers.{name}.rule: {error}") from None
    except ValueError as error:
        raise UserError(f"optimisers.{name}.{error}") from None


def unknown(key: str, kind: str, name: str, known: Mapping[str, Any]) -> str:
    """The message for a `name` under `key` that is none of the `known`."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{key}: unknown {kind} {name!r}; expected one of {', '.join(known)}{hint}"


def _explain(error: ValidationError) -> str:
    """Pydantic's findings as messages that name the key, what was expected and what to do."""
    lines = []
    for finding in error.errors():
        key = ".".join(str(part) for part in finding["loc"] if not _is_type_name(part))
        # The hint on how YAML reads numbers is for where a number belongs.
        numeric = finding["type"].startswith(("int", "float"))
        given = describe(finding["input"]) if numeric else repr(finding["input"])
        match finding["type"]:
            case "extra_forbidden":
                known = _known_keys(finding["loc"])
                lines.append(
                    unknown(
                        ".".join(key.split(".")[:-1]) or "configuration",
                        "key",
                        key.split(".")[-1],
                        known,
                    )
                )
            case "missing":
                lines.append(f"{key}: missing; add it to the configuration")
            case "literal_error":
                lines.append(f"{key}: expected {finding['ctx']['expected']}, got {given}")
            case "value_error":
                message = str(finding["ctx"]["error"])
                # What a validator has found deeper down names its own key.
                word = re.split(r"[.:]", message)[0]
                if not key or message.startswith(f"{key}."):
                    lines.append(message)
                else:
                    link = "." if word in FigureSettings.model_fields else ": "
                    lines.append(f"{key}{link}{message}")
            case "list_type":
                lines.append(f"{key}: expected a list, such as [0, 1, 2], got {given}")
            case _:
                message = finding["msg"].replace("Input should be", "expected")
                lines.append(f"{key}: {message}, got {given}")
    return "\n".join(dict.fromkeys(lines))


def _is_type_name(part: object) -> bool:
    """Whether `part` of a location is pydantic's name for one branch of a union."""
    return part in {"int", "float", "str"}


def _known_keys(location: tuple[int | str, ...]) -> dict[str, Any]:
    model = FigureSettings if location[0] == "figures" else Settings
    return dict(model.model_fields)
