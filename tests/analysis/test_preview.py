"""Previews: figures of made-up numbers say before training what real ones would say after it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from clone import ROOT, Clone
from snakemake.utils import update_config
from tiny import PRETRAIN, Folder

from plasticity.analysis import preview
from plasticity.analysis.figures import Drawing, Tables, render, style, warm_start
from plasticity.analysis.preview import made_up, made_up_tables
from plasticity.analysis.summary.curves import CURVES
from plasticity.analysis.summary.runs import RUNS, Measured, describe_run
from plasticity.core.errors import UserError
from plasticity.measures.quantities import QUANTITIES, TRACE, TRACES
from plasticity.observe import connectivity, telemetry
from plasticity.runs import Run, metrics
from plasticity.runs.cadence import Cadence
from plasticity.study import Study

PLACE = "cifar10/resnet20/seed3/"
SGD = "full_sgd-lr0.1-m0.9_{}"


def config(*overlays: str) -> dict:
    """The configuration of the paper's study, with these overlays."""
    read: dict = yaml.safe_load((ROOT / "config.yaml").read_text())
    for overlay in overlays:
        update_config(read, yaml.safe_load(overlay))
    return read


REMEDY = "{study: remedy, remedies: {shrunk: reset6}, targets: [fig05, fig07]}"


OF_A_FAMILY = "{seeds: [0], model: %s, figures: {fig05: {model: '%s'}, fig07: {seeds: [0]}}}"
FAMILIES = {
    "mlp": OF_A_FAMILY % ("mlp-d2w100", "mlp-d{depth}w{width}"),
    "vit": OF_A_FAMILY % ("vit-p4d6w192", "vit-p4d{depth}w{width}"),
}
"""Studies of other networks than residual ones."""


@cache
def study_of(name: str) -> Study:
    if name == "paper":
        return Study(config())
    if name in FAMILIES:
        return Study(config(FAMILIES[name]))
    if name == "remedy":
        return Study(config(REMEDY))
    return Study(config((ROOT / f"studies/{name}.yaml").read_text()))


def paper() -> Study:
    return study_of("paper")


def tables_of(study: Study, name: str) -> Tables:
    figure = study.figures[name]
    kind = figure.settings.observe
    settings = dict(getattr(study.settings, kind)) if kind else {}
    title, labels = figure.settings.title, dict(figure.labels)
    return made_up_tables(title, figure.roles, labels, kind, settings, figure.has_arms)


def drawn(study: Study, name: str) -> Drawing:
    module = import_module(f"plasticity.analysis.figures.{study.figures[name].settings.draw}")
    return module.draw(tables_of(study, name))


# Drawing


@pytest.mark.parametrize(
    ("study", "name"),
    [
        *(("paper", name) for name in paper().figures),
        *(("demo", name) for name in paper().figures),
        *(("cifar10-mini", name) for name in ("fig04", "fig06", "early_connectivity")),
        *(("remedy", name) for name in ("fig05", "fig07")),
        *((family, name) for family in FAMILIES for name in ("fig02", "fig05", "fig07")),
    ],
)
def test_the_figures_of_a_study_can_be_drawn(study: str, name: str):
    tables = tables_of(study_of(study), name)
    assert set(tables.runs["role"]) == set(study_of(study).figures[name].roles)
    assert len(drawn(study_of(study), name).numbers)
    if study in FAMILIES:
        assert all(f"/{study}-" in run for run in tables.runs["run"])


def test_only_the_picture_is_written_and_it_says_what_it_is(tmp_path: Path):
    tables = tables_of(paper(), "fig01")
    for name, across in (("plain", ""), ("marked", preview.NOTE)):
        render("warm_start", tables, {"svg": tmp_path / f"{name}.svg"}, across)
    assert {path.name for path in tmp_path.iterdir()} == {"plain.svg", "marked.svg"}
    plain, marked = ((tmp_path / f"{name}.svg").read_text() for name in ("plain", "marked"))
    assert preview.NOTE in marked
    assert preview.NOTE not in plain


def test_what_a_figure_cannot_show_is_told_before_anything_is_trained():
    """Two lengths of tuning in one role, along an axis of the length of pretraining."""
    study = Study(
        config(
            """
            figures:
              fig02:
                grid: {last: [100, 200]}
                runs: {warm: "half_{adam}_e{epochs}_init/full_{adam}_e{last}_keep"}
            """
        )
    )
    with pytest.raises(UserError, match="would mix several runs of one seed"):
        drawn(study, "fig02")


@pytest.mark.parametrize("length", ["e2", "i20"])
def test_what_cannot_be_trained_has_no_preview(length: str):
    run = Run.parse(f"digits-clutter-n64/resnet-d1w2/seed0/half_adam-lr0.1_{length}_init")
    with pytest.raises(UserError, match="has 32 examples, fewer than one batch of 128"):
        made_up(run)


def test_a_variant_has_no_more_examples_than_its_data_set():
    run = Run.parse("cifar10-n60000/resnet18/seed0/full_adam-lr0.1_e2_init")
    with pytest.raises(UserError, match="there are only 50000 training examples"):
        made_up(run)


def test_numbers_that_cannot_be_written_are_found_although_they_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(warm_start, "draw", lambda tables: Drawing(style.picture(), None))
    with pytest.raises(AttributeError, match="to_csv"):
        render("warm_start", tables_of(paper(), "fig01"), {"png": tmp_path / "f.png"}, "made up")


# Numbers


def test_they_have_the_form_of_what_training_measures(tmp_path: Path):
    folder = Folder.prepare(tmp_path)
    # By its name, which is all that a preview knows of it, a data set of this size.
    path = PRETRAIN.format(epochs=3).replace("clutter", "clutter-n64-r8").replace("b16", "b10")
    run = Run.parse(path)
    real = Measured.read(folder.train(run).metrics)
    invented = made_up(run)
    assert invented.table.schema == metrics.SCHEMA
    for column in ("epoch", "iteration"):
        assert invented.table[column].to_pylist() == real.table[column].to_pylist()
    same = ("begins", "ends", "density", "training_examples")
    assert [invented.about[key] for key in same] == [real.about[key] for key in same]
    assert describe_run(run, invented, []).keys() == {field.name for field in RUNS}


@pytest.mark.parametrize(
    ("stages", "density", "begins", "epochs", "moved"),
    [
        ([SGD.format("e160_init")], 1.0, 0, 160, False),
        ([SGD.format("i500_init"), SGD.format("till160_ticket2")], 0.64, 500, 159, False),
        ([SGD.format("i500_init"), SGD.format("till160_ticket1-p0.5")], 0.5, 500, 159, False),
        # Later stages train with the mask of the one before.
        (
            [SGD.format(text) for text in ("i500_init", "till160_ticket2", "e160_rewind")],
            *(0.64, 0, 160, True),
        ),
        ([SGD.format("e5_init"), SGD.format("e160_reset5")], 1.0, 0, 160, True),
    ],
)
def test_they_follow_from_the_path(
    stages: list[str], density: float, begins: int, epochs: int, moved: bool
):
    found = made_up(Run.parse(PLACE + "/".join(stages)))
    assert found.about["density"] == pytest.approx(density)
    assert found.about["begins"] == begins
    assert len(found.table) == epochs
    assert (found.about["perturbation"] > 0) == moved


def test_a_perturbation_has_a_size_and_the_plain_ticket_has_none():
    roles = paper().figures["early_sizes"].roles
    sizes = {
        role: {made_up(Run.parse(path)).about["perturbation"] > 0 for path in paths}
        for role, paths in roles.items()
    }
    assert sizes["unchanged"] == sizes["dense"] == {False}
    assert sizes["noisy"] == sizes["mixed"] == sizes["signshuffled"] == {True}


def test_they_are_shares_and_the_same_each_time():
    first, again = (tables_of(paper(), "early_telemetry") for _ in range(2))
    assert first.runs.equals(again.runs)
    assert first.curves.equals(again.curves)
    assert first.observed.equals(again.observed)
    assert list(first.runs.columns) == ["role", *(field.name for field in RUNS)]
    assert set(first.curves.columns) == {"role", *(field.name for field in CURVES)}
    accuracies = first.curves[["train_accuracy", "test_accuracy"]].to_numpy()
    assert ((accuracies >= 0) & (accuracies <= 1)).all()


def test_what_is_observed_has_the_columns_of_what_is_measured():
    run = Run.parse(PLACE + SGD.format("e160_init"))
    cadence = Cadence(100, 10, 5, 1)
    observed = preview.made_up_telemetry([run], cadence)
    assert list(observed.columns) == telemetry.SCHEMA.names
    traces = observed[observed["quantity"].str.startswith(TRACE)]
    assert traces["quantity"].nunique() == TRACES
    assert set(observed["quantity"]) - set(traces["quantity"]) == set(QUANTITIES)
    nothing = observed[observed["value"].isna() & (observed["iteration"] == 0)]
    assert set(nothing["quantity"]) == {"gradient_magnitude", "gradient_norm"}
    assert observed["iteration"].unique().tolist() == cadence.observed()
    tested = observed[observed["quantity"] == "test_accuracy"].dropna()
    assert tested["iteration"].tolist() == cadence.evaluated()
    line = preview.made_up_connectivity([run], 5)
    assert set(line.columns) == set(connectivity.SCHEMA.names)
    assert np.allclose(line["alpha"], [0, 0.25, 0.5, 0.75, 1])


# The workflow


def test_a_preview_needs_no_data_and_trains_nothing(tmp_path: Path):
    clone = Clone(tmp_path)
    assert clone.planned("preview") == {"preview_figure": 2, "preview": 1}
    status, printed = clone.snakemake("preview")
    assert status == 0, printed
    made = {str(path.relative_to(tmp_path)) for path in (tmp_path / "results").rglob("*.*")}
    pictures = {f"results/preview/tiny/{name}.png" for name in ("fig01", "fig11")}
    assert made - pictures == {
        f"results/logs/preview/tiny/{name}.log" for name in ("fig01", "fig11")
    }
    assert clone.planned("preview") == {}
    with clone.edited("plasticity/analysis/figures/warm_start.py", add="\nCHANGED = True\n"):
        assert clone.planned("preview") == {"preview_figure": 1, "preview": 1}
    one = "results/preview/tiny/early_telemetry.png"
    assert clone.planned(one) == {"preview_figure": 1}
    status, printed = clone.snakemake(one)  # of 64 digits in batches of 128
    assert status == 1
    assert "fewer than one batch of 128" in printed
    assert "Traceback" not in printed
    status, printed = clone.snakemake("-n", "results/preview/tiny/fig12.png")
    assert status == 1
    assert "unknown figure 'fig12'" in printed
    assert "Traceback" not in printed
