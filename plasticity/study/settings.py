"""The configuration as typed data: checked once, with one message for everything that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from plasticity.core.errors import UserError, named, shown
from plasticity.runs import OptimiserFacts, Registry, Term, datasets, models, optimisers
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
from plasticity.runs.kinds import KINDS, OF_RULES
from plasticity.runs.roles import COLD, COLD_LONG, WARM
from plasticity.study.arm_settings import Arms, ArmSettings, TuneSettings
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
    Section,
    Seeds,
    Template,
    Text,
    Throughput,
    about,
)

RESERVED = {
    *("all", "misspelt", "dataset", "dataset_variant", "split", *OF_RULES),
    *("summarise_figure", "summarise_study", "summarise_observations", "figure"),
    *(
        "claims",
        "group_claims",
        "summarise_remedies",
        "remedies_network",
        "budget",
        "calibrate",
        "network_costs",
    ),
    *("preview_figure", "preview", "words"),
}
"""Names of rules, which are targets already."""


FILLED = ("seed", "i", "start")
"""Words in braces that no configuration may define: `plasticity.study.template` fills them."""


OBSERVED = tuple(kind.name for kind in KINDS.values() if kind.settings)
"""What can be observed: the kinds of it, and the modules of figures that draw them."""


class FigureSettings(Section):
    """One figure: what is drawn, from which runs, over which grid."""

    title: Text = about("What stands above the picture.")
    caption: Text = about("What stands below it in the report.")
    draw: Drawing = about(
        "What draws it: a module of analysis/figures, such as `tuning_curves`, or a function of an "
        "extension, such as `ours.picture`; `snakemake words` lists them."
    )
    runs: dict[Name, Template] = about(
        "Its runs, by role: stages `<data>_<optimiser>_<length>_<start>`, with a slash between "
        "them. `{tune}` is a length, an optimiser or a variable of the grid, `{adam:rate}` an "
        "optimiser at another rate, and `stage{i}of{n}r1_{adam}_e{stage}_{start}*{n}` a stage "
        "repeated `n` times.",
        min_length=1,
    )
    labels: dict[Name, Text] = about("Roles and arms in the words of the legend.", {})
    grid: dict[Name, GridValues] = about(
        "Variables for the runs, the data set and the model: each role is made at every "
        "combination of those that it mentions.",
        {},
    )
    dataset: Template | None = about("Its data set, instead of the study's.", None)
    model: Template | None = about("Its network, instead of the study's.", None)
    seeds: Seeds | None = about("Its seeds, instead of the study's.", None)
    observe: Literal["telemetry", "connectivity"] | None = about(
        "What is observed of its runs besides their metrics.", None
    )
    arms: Arms | None = about(
        "Remedies, by name, that are compared with `cold` and `warm`, beside those of the study: a "
        "start or, behind a `+`, methods, with which cold is trained too; null takes one out.",
        None,
    )
    tune: TuneSettings | None = about("What is tried of every arm.", None)

    @model_validator(mode="after")
    def _observed(self) -> FigureSettings:
        if self.draw in OBSERVED and self.observe != self.draw:
            raise ValueError(f"observe: expected {self.draw}, which draw: {self.draw} shows")
        return self

    @model_validator(mode="after")
    def _known_variables(self) -> FigureSettings:
        for variable in self.grid:
            if variable in FILLED:
                raise ValueError(f"grid.{variable}: has a meaning of its own; choose another name")
        return self

    @model_validator(mode="after")
    def _of_arms(self) -> FigureSettings:
        if self.arms is None:
            for key, given in (("draw", self.draw == "remedies"), ("tune", self.tune)):
                if given:
                    raise ValueError(f"{key}: is of arms; name the remedies under arms")
            return self
        if {*self.runs} - {COLD_LONG} != {COLD, WARM}:
            raise ValueError(
                f"runs: expected {COLD} and {WARM}, of which the arms are made, got "
                f"{', '.join(self.runs)}"
            )
        for key in ("grid", "observe"):
            if getattr(self, key):
                raise ValueError(f"{key}: a figure with arms has none; take figures of their own")
        return self


class TelemetrySettings(Section):
    """When the weights are looked at, in steps: see `plasticity.runs.cadence.Cadence`."""

    iterations: StrictInt = about("How many steps are observed.", Cadence.iterations)
    each: StrictInt = about("Up to this one the weights are looked at in each.", Cadence.each)
    per_decade: StrictInt = about(
        "After it so many times in each power of ten, evenly on a logarithmic axis.",
        Cadence.per_decade,
    )
    evaluations_per_decade: StrictInt = about(
        "How many of these evaluate on the test set as well.", Cadence.evaluations_per_decade
    )

    @model_validator(mode="after")
    def _within_bounds(self) -> TelemetrySettings:
        Cadence(**self.model_dump())
        return self


class ConnectivitySettings(Section):
    """Between two states: `points` on the line, and how many training `examples` to evaluate on."""

    points: Annotated[StrictInt, Field(ge=3, le=MOST_POINTS)] = about(
        "How many points of the line are evaluated, its ends included.", 11
    )
    examples: Annotated[StrictInt, Field(ge=1, le=LARGEST)] = about(
        "How many training examples the error is taken over, at most.", 10_000
    )


class Settings(Section):
    """The whole configuration, as ``config.yaml`` and its overlays spell it."""

    study: Name = about("Its name: that of its folders of results.")
    dataset: Template = about("The data set, such as `cifar10` or `cifar10-n5000-r16`.")
    model: Template = about("The network, such as `resnet18`.")
    seeds: Seeds = about("The seeds that every run is made with.")
    device: Literal["cuda", "cpu"] = about("Where to train.")
    slots_per_gpu: Annotated[StrictInt, Field(ge=1, le=MOST_SLOTS)] = about(
        "How many training jobs may share a GPU; `gpu` in --resources counts these. On a cluster 1."
    )
    precision: Precision = about(
        "Arithmetic of the forward pass: bfloat16 is under autocast, and tfloat32 on a GPU alone."
    )
    execution: Execution = about(
        "How the operations of a step reach the device: one by one, recorded as a CUDA graph, or "
        "compiled. Changing it trains nothing again.",
        "auto",
    )
    threads: Annotated[StrictInt, Field(ge=1, le=MOST_THREADS)] = about("CPU threads of a job.")
    keep: Keep = about(
        "Which checkpoints of pretraining stay: all, those at 10, 20, 50, 100, 200, 500 and 1000 "
        "epochs (rungs), or none (results)."
    )
    evaluate_every: Annotated[StrictInt, Field(ge=1, le=MOST_EPOCHS)] = about(
        "Epochs from one evaluation on the test set to the next; those that the final accuracy is "
        "taken over are always evaluated. It saves time, and no training is another.",
        1,
    )
    images_per_second: Throughput | None = about(
        "Images a second in training, for `snakemake budget`; measured where it is left out.", None
    )
    # Not strict: `--config retrain=true` arrives as text.
    retrain: bool = about(
        "Make dropped checkpoints anew, and train again the finished runs that started from them.",
        False,
    )
    lengths: dict[Name, Epochs] = about("Lengths of training in epochs, for braces in runs.")
    optimisers: dict[Name, dict[StrictStr, Any]] = about(
        "Optimisers for braces in runs: `rule` names one, the rest are its options, `batch` (128 "
        "by default) and `drops`, the epochs after which the rate is divided by 10. `snakemake "
        "words` lists rules and options."
    )
    extensions: dict[Name, Place | None] = about(
        "Python files of your own, by name, whose words stand beside the library's: paths from the "
        "folder that the workflow works in, or modules that can be imported. See howto-extend.md.",
        {},
    )
    sources: dict[StrictStr, Place | None] = about(
        "Local copies, by data set: the original archive, or the folder that holds train*.parquet "
        "and test*.parquet. `~` and variables such as `$HOME` are expanded.",
        {},
    )
    datasets: dict[Name, DatasetSettings] = about(
        "Data sets of your own, by the name that they have in paths. See howto-data.md.", {}
    )
    remedies: Arms = about(
        "Remedies, by name, each of which is drawn beside every plain warm start (`keep`): a start "
        "or, behind a `+`, methods.",
        {},
    )
    targets: Annotated[list[Name], Distinct] = about("Figures that are made where none is named.")
    groups: dict[Name, Annotated[list[Name], Field(max_length=MOST_IN_A_GROUP), Distinct]] = about(
        "Figures that are made together, with a page of claims of their own.", {}
    )
    telemetry: TelemetrySettings = about(
        "When the weights are looked at, in figures with `observe: telemetry`.", TelemetrySettings()
    )
    connectivity: ConnectivitySettings = about(
        "How the line between two states is looked at.", ConnectivitySettings()
    )
    figures: dict[Name, FigureSettings] = about("The figures, by name.")

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
                optimiser(f"optimisers.{name}", entry)
            except UserError as error:
                raise ValueError(str(error)) from None
        return entries

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

    @model_validator(mode="after")
    def _known_labels(self) -> Settings:
        for name, figure in self.figures.items():
            longer = {} if figure.arms is None else {COLD_LONG: None}
            known = {**figure.runs, **longer, **self.remedies, **(figure.arms or {})}
            for role in figure.labels:
                if role not in known:
                    raise ValueError(unknown(f"figures.{name}.labels", "role", role, known))
        return self

    @model_validator(mode="after")
    def _held_out_once(self) -> Settings:
        for name, figure in self.figures.items():
            dataset = figure.dataset or self.dataset
            if figure.tune is None or "{" in dataset:  # which needs a grid, and arms have none
                continue
            try:
                held = datasets.parse(dataset).options["validation"]
            except UserError as error:
                raise ValueError(f"figures.{name}.dataset: {error}") from None
            if held:
                raise ValueError(
                    f"figures.{name}.tune.validation: {dataset} holds out {held} examples already; "
                    "name the data set without -v, or leave tune out"
                )
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
                "figures.arms": ArmSettings,
                "figures.tune": TuneSettings,
                "remedies": ArmSettings,
                "telemetry": TelemetrySettings,
                "connectivity": ConnectivitySettings,
                "datasets": DatasetSettings,
            }
            raise UserError(explain(error, sections)) from None

    @cached_property
    def rules(self) -> dict[str, Term[OptimiserFacts]]:
        """The optimisers as words of a path, by the names that the configuration gives them."""
        return {
            name: optimiser(f"optimisers.{name}", entry) for name, entry in self.optimisers.items()
        }


def optimiser(key: str, entry: Mapping[str, Any]) -> Term[OptimiserFacts]:
    """The optimiser that the configuration gives under `key` by its rule and options."""
    if not isinstance(entry.get("rule"), str):
        known = ", ".join(optimisers.members)
        found = f"got {shown(entry['rule'])}" if "rule" in entry else "missing"
        raise UserError(f"{key}.rule: {found}; expected one of {known}")
    try:
        options = {name: value for name, value in entry.items() if name != "rule"}
        return optimisers.term(entry["rule"], options)
    except UserError as error:
        raise UserError(f"{key}.rule: {error}") from None
    except ValueError as error:
        raise UserError(f"{key}.{error}") from None
