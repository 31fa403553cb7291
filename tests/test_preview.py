"""Previews: figures of made-up numbers say before training what real ones would say after it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from clone import ROOT, Clone
from matplotlib import pyplot
from snakemake.utils import update_config
from tiny import PRETRAIN, Folder

from plasticity import connectivity, metrics, preview, telemetry
from plasticity.cadence import Cadence
from plasticity.errors import UserError
from plasticity.figures import render
from plasticity.preview import made_up, made_up_tables
from plasticity.spec import Run
from plasticity.study import Study
from plasticity.summary import CURVES, RUNS, Measured, describe_run

PLACE = "cifar10/resnet20/seed3/"
SGD = "full_sgd-lr0.1-m0.9_{}"


def config(*overlays: str) -> dict:
    """The configuration of the paper's study, with these overlays."""
    read: dict = yaml.safe_load((ROOT / "config.yaml").read_text())
    for overlay in overlays:
        update_config(read, yaml.safe_load(overlay))
    return read


@cache
def paper() -> Study:
    return Study(config())


def tables_of(study: Study, name: str):
    figure = study.figures[name]
    kind = figure.settings.observe
    settings = dict(getattr(study.settings, kind)) if kind else {}
    return made_up_tables(figure.settings.title, figure.roles, dict(figure.labels), kind, settings)


# Drawing


@pytest.mark.parametrize("name", list(config()["figures"]))
def test_every_figure_of_the_paper_can_be_drawn(name: str):
    tables = tables_of(paper(), name)
    assert set(tables.runs["role"]) == set(paper().figures[name].roles)
    drawing = import_module(f"plasticity.figures.{paper().figures[name].settings.draw}").draw(
        tables
    )
    assert len(drawing.numbers)
    pyplot.close(drawing.picture)


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
        import_module("plasticity.figures.pretraining_length").draw(tables_of(study, "fig02"))


# Numbers


def test_they_have_the_form_of_what_training_measures(tmp_path: Path):
    folder = Folder.prepare(tmp_path)
    # By its name, which is all that a preview knows of it, a data set of this size.
    run = Run.parse(PRETRAIN.format(epochs=3).replace("clutter", "clutter-n64-r8"))
    real = Measured.read(folder.train(run).metrics)
    invented = made_up(run)
    assert invented.table.schema == metrics.SCHEMA
    for column in ("epoch", "iteration"):
        assert invented.table[column].to_pylist() == real.table[column].to_pylist()
    same = ("begins", "ends", "density", "training_examples")
    assert [invented.about[key] for key in same] == [real.about[key] for key in same]
    assert describe_run(run, invented, None).keys() == {field.name for field in RUNS}


@pytest.mark.parametrize(
    ("stages", "density", "begins", "epochs", "moved"),
    [
        ([SGD.format("e160_init")], 1.0, 0, 160, False),
        ([SGD.format("i500_init"), SGD.format("till160_ticket2")], 0.64, 500, 159, False),
        ([SGD.format("i500_init"), SGD.format("till160_ticket1-p0.5")], 0.5, 500, 159, False),
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
    assert set(telemetry.QUANTITIES) == set(preview.QUANTITIES)
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
    with clone.edited("plasticity/figures/warm_start.py", add="\nCHANGED = True\n"):
        assert clone.planned("preview") == {"preview_figure": 1, "preview": 1}
    one = "results/preview/tiny/early_telemetry.png"
    assert clone.planned(one) == {"preview_figure": 1}
    status, printed = clone.snakemake("-n", "results/preview/tiny/fig12.png")
    assert status == 1
    assert "fig12" in printed
    assert "Traceback" not in printed
