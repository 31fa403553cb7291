"""The configuration as typed data: checked once, with one message for everything that is wrong."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from itertools import islice
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

from plasticity.core.errors import UserError, named, shown
from plasticity.runs import Registry, datasets, models, optimisers, starts
from plasticity.runs.compute import Execution, Precision, impossible
from plasticity.runs.run import LONGEST_RUN, MOST_EPOCHS
from plasticity.runs.values import LARGEST, describe

FIGURES = Path(__file__).parents[1] / "analysis" / "figures"


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
}
"""Names of rules, which are targets already."""


FILLED = ("seed", "i", "start")
"""Words in braces that no configuration may define: `plasticity.study.template` fills them."""


LONGEST_NAME = 80
"""Characters in a name: of a study, a figure, a role. A file is named so, with something behind."""

MOST_SLOTS = 64
"""Jobs on a GPU: as many looks at sockets as this are nothing, and no GPU serves more."""

MOST_THREADS = 1024
"""More than any machine has cores; Snakemake lowers them to `--cores` besides."""

MOST_OBSERVED = 1_000_000
"""Updates that are observed: each may be a row of the table."""

MOST_IN_A_GROUP = 1000
"""Figures in a group; a list of a million names would be told of one by one."""

MOST_A_DECADE = 1000
"""Observations between one power of ten of updates and the next: more than a picture can show."""

MOST_POINTS = 1001
"""Networks on the line between two states."""

OBSERVED = {"telemetry": "telemetry", "connectivity": "connectivity"}
"""Modules of `plasticity.analysis.figures` that draw what is observed, and which kind of it."""

MOST_FINDINGS = 20
"""Mistakes that are told at once: a list of a thousand texts for numbers says the same often."""

MOST_LISTED = 50
"""Known names that the message on an unknown one lists."""


def _distinct(values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError("is empty; expected at least one value")
    met = set()
    for value in values:
        if value in met:
            raise ValueError(f"holds {shown(value)} twice; remove one")
        met.add(value)
    return values


def _spellable(values: list[Any]) -> list[Any]:
    """Values of a grid that a path can hold; what they mean there shows when they are filled in."""
    for value in values:
        if isinstance(value, str):
            _template(value)
        elif not -LARGEST <= value <= LARGEST:  # also what is no number
            raise ValueError(f"holds {shown(value)}; expected numbers of at most 18 digits")
    return values


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", value):
        raise ValueError(
            f"got {shown(value)}; expected a lower-case letter, then letters, digits, '_' or '-'"
        )
    if len(value) > LONGEST_NAME:
        raise ValueError(
            f"got {shown(value)}; expected at most {LONGEST_NAME} characters: "
            "folders and files get this name"
        )
    return value


def _text(value: str) -> str:
    """A text that can be drawn and written into a page."""
    strange = [letter for letter in value if _is_strange(letter) and letter not in "\n\t"]
    if strange:
        raise ValueError(f"holds the character {strange[0]!r}, which cannot be drawn; remove it")
    return value


def _is_strange(letter: str) -> bool:
    """Whether `letter` is a control character or half of one: no page and no path holds these."""
    return unicodedata.category(letter) in ("Cc", "Cs") or letter in "\ufffe\uffff"


def _template(value: str) -> str:
    if len(value) > LONGEST_RUN:
        raise ValueError(f"got {shown(value)}; expected at most {LONGEST_RUN} characters")
    return value


def _place(value: str) -> str:
    """The path of a file or folder on this machine, which need not be there."""
    # Limits of Linux, in bytes: 255 for a name, 4,095 for a path.
    strange = not value or any(map(_is_strange, value))
    if strange or len(value.encode()) > 4095 or max(map(len, value.encode().split(b"/"))) > 255:
        raise ValueError(f"got {shown(value)}; expected the path of a file or folder")
    return value


def _drawing(value: str) -> str:
    """A module of `plasticity.analysis.figures` that draws."""
    known = {path.stem for path in FIGURES.glob("*.py")} - {"__init__", "style"}
    if value not in known:
        raise ValueError(f"got {shown(value)}; expected one of {', '.join(sorted(known))}")
    return value


Name = Annotated[StrictStr, AfterValidator(_name)]
Text = Annotated[StrictStr, AfterValidator(_text)]
Template = Annotated[StrictStr, AfterValidator(_template)]
Place = Annotated[StrictStr, AfterValidator(_place)]
Seeds = Annotated[list[Annotated[StrictInt, Field(ge=0, le=LARGEST)]], AfterValidator(_distinct)]
GridValues = Annotated[
    list[StrictInt | StrictFloat | StrictStr], AfterValidator(_spellable), AfterValidator(_distinct)
]
Keep = Literal["all", "rungs", "results"]
# An image in a quarter of an hour, to a thousand times the fastest device: hours stay numbers.
Throughput = Annotated[StrictFloat, Field(ge=0.001, le=1e12, allow_inf_nan=False)]
Length = Annotated[StrictInt, Field(ge=1, le=MOST_EPOCHS)]
Observed = Annotated[StrictInt, Field(ge=1, le=MOST_OBSERVED)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FigureSettings(_Settings):
    """One figure: what is drawn, from which runs, over which grid."""

    title: Text
    caption: Text
    draw: Annotated[StrictStr, AfterValidator(_drawing)]
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
    """When the weights are looked at, in updates: see `plasticity.runs.cadence.Cadence`."""

    iterations: Observed = 4000
    each: Annotated[StrictInt, Field(ge=0, le=MOST_OBSERVED)] = 100
    per_decade: Annotated[StrictInt, Field(ge=1, le=MOST_A_DECADE)] = 20
    evaluations_per_decade: Annotated[StrictInt, Field(ge=1, le=MOST_A_DECADE)] = 3


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
    images_per_second: Throughput | None = None
    retrain: bool = False  # not strict: `--config retrain=true` arrives as text
    lengths: dict[Name, Length]
    optimisers: dict[Name, dict[StrictStr, Any]]
    sources: dict[StrictStr, Place | None] = Field(default_factory=dict)
    remedies: dict[Name, Template] = Field(default_factory=dict)
    targets: Annotated[list[Name], AfterValidator(_distinct)]
    groups: dict[
        Name, Annotated[list[Name], Field(max_length=MOST_IN_A_GROUP), AfterValidator(_distinct)]
    ] = Field(default_factory=dict)
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
            raise UserError(_explain(error)) from None


def spell_optimiser(name: str, entry: Mapping[str, Any]) -> str:
    """The token of an optimiser that the configuration gives by its rule and options."""
    if not isinstance(entry.get("rule"), str):
        known = ", ".join(optimisers.members)
        found = f"got {shown(entry['rule'])}" if "rule" in entry else "missing"
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
    listed = [*islice(known, MOST_LISTED), "..."] if len(known) > MOST_LISTED else known
    return f"{key}: unknown {kind} {shown(name)}; expected one of {', '.join(listed)}{hint}"


def _explain(error: ValidationError) -> str:
    """Pydantic's findings as messages that name the key, what was expected and what to do."""
    lines = []
    for finding in error.errors():
        key = ".".join(map(named, _location(finding["loc"])))
        # The hint on how YAML reads numbers is for where a number belongs.
        numeric = finding["type"].startswith(("int", "float"))
        given = describe(finding["input"]) if numeric else shown(finding["input"])
        match finding["type"]:
            case "extra_forbidden":
                *above, last = finding["loc"]
                place = ".".join(map(named, above)) or "configuration"
                lines.append(unknown(place, "key", str(last), _known_keys(finding["loc"])))
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
            case "model_type":
                lines.append(f"{key}: expected keys with values, got {given}")
            case "list_type":
                lines.append(f"{key}: expected a list, such as [0, 1, 2], got {given}")
            case _:
                message = finding["msg"].replace("Input should be", "expected")
                lines.append(f"{key or 'configuration'}: {message}, got {given}")
    lines = list(dict.fromkeys(lines))
    if len(lines) > MOST_FINDINGS:
        lines[MOST_FINDINGS:] = [f"and {len(lines) - MOST_FINDINGS} more"]
    return "\n".join(lines)


def _location(parts: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where something was found, without what pydantic adds: marks of keys, branches of unions."""
    branch = len(parts) > 1 and isinstance(parts[-2], int) and parts[-1] in ("int", "float", "str")
    return parts[:-1] if branch or parts[-1:] == ("[key]",) else parts


def _known_keys(location: tuple[int | str, ...]) -> dict[str, Any]:
    models: dict[str, type[_Settings]] = {
        "figures": FigureSettings,
        "telemetry": TelemetrySettings,
        "connectivity": ConnectivitySettings,
    }
    model = models.get(str(location[0]), Settings) if len(location) > 1 else Settings
    return dict(model.model_fields)
