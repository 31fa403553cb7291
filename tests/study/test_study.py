"""The paper's study as planned, and what a study does with its configuration."""

import copy
import re

import pytest
import yaml
from configurations import OVERLAYS, PAPER, of_figure, with_changes, without

from plasticity.core.errors import UserError
from plasticity.runs import Run, optimisers
from plasticity.runs.kinds import CONNECTIVITY, PRETRAIN, TELEMETRY, TUNE
from plasticity.study import Study
from plasticity.study.fields import _distinct


@pytest.fixture(scope="module")
def paper():
    return Study(PAPER)


# The paper's study


@pytest.mark.parametrize(
    ("figure", "runs"),
    [
        ("fig01", 5 * 2),
        ("fig02", 5 * (1 + 9)),
        ("fig06", 5 * (1 + 1 + 6 + 5 + 4)),
        ("fig08", 5 * (1 + 9)),
        ("fig09", 5 * (1 + 9)),
        ("fig10", 5 * (1 + 9)),
        ("fig11", 5 * 3),
    ],
)
def test_the_figures_of_the_paper_have_their_runs(paper, figure, runs):
    assert len(paper.figures[figure].runs) == runs
    assert len(paper.figures[figure].planned) == runs


def test_the_papers_have_their_figures_and_all_of_these_are_made(paper):
    early = ("tickets", "telemetry", "perturbations", "sizes", "data", "sparse", "connectivity")
    assert list(paper.figures) == [
        *(f"fig{number:02}" for number in range(1, 12)),
        "remedies",
        *(f"early_{name}" for name in early),
    ]
    assert [figure.name for figure in paper.groups["early_phase"]] == list(paper.figures)[12:]
    theirs = [name for name in paper.figures if name != "remedies"]
    assert [figure.name for figure in paper.targets] == theirs


def test_figures_share_runs(paper):
    """Figure 2 holds the runs of figure 1, figure 6 those of 11, and both the cold and the kept.

    Figures 3, 4 and 5 share the cold runs, figure 5 also the warm ones at the usual size.
    """
    alone = {name: len(figure.runs) for name, figure in paper.figures.items()}
    seeds = 5
    assert alone["fig03"] == seeds * (1 + 1 + 6)
    assert alone["fig04"] == seeds * (1 + 5 + 5)
    assert alone["fig05"] == seeds * 2 * 16
    assert alone["fig07"] == 9 * (5 + 3 * 5)
    core = 50 + (85 - 10) + 3 * 50
    new = seeds * (8 - 1) + seeds * (11 - 1) + seeds * 2 * (16 - 1) + 9 * 20
    # The second paper: dense, 15 levels of 6 points to rewind to; 19 perturbations of 2 of these;
    # twice 4 transforms of 5 lengths; 5 points from which the whole network goes on.
    early = seeds * (1 + 15 * 6 + 2 * 19 + 2 * 4 * 5 + 5)
    assert len(paper.runs) == len(set(paper.runs)) == core + new + early


def test_a_run_that_others_are_made_from_is_measured_where_it_makes_its_state(paper):
    kinds = {str(run): paper.kind_of(run) for run in paper.runs_of("early_tickets")}
    last = {path for path in kinds if path.endswith("_ticket15")}
    assert {kinds[path] for path in last} == {TUNE}
    assert {kind for path, kind in kinds.items() if path not in last} == {PRETRAIN}
    assert {paper.kind_of(run) for run in paper.figures["fig06"].runs} == {TUNE}


def test_a_group_asks_for_its_figures(paper):
    asked = paper.asked(["early_phase"])
    assert set(asked.jobs) == set(paper.jobs_of(paper.groups["early_phase"]))
    assert {job.kind for job in asked.jobs} == {PRETRAIN, TUNE, TELEMETRY, CONNECTIVITY}
    page = paper.asked(["results/claims/paper-early_phase.html"])
    assert page.jobs == asked.jobs


def test_no_remedy_for_what_is_no_warm_start(paper):
    study = Study(with_changes({"remedies": {"fresh": "reset5"}}))
    for figure in study.groups["early_phase"]:
        assert list(figure.roles) == list(paper.figures[figure.name].roles)


def test_a_figure_grows_its_data_in_stages(paper):
    """Each stage of pretraining after the one before, the first from a fresh initialisation."""
    runs = [str(planned.run) for planned in paper.figures["fig04"].planned]
    place = "cifar10/resnet18/seed0/"
    assert (
        place + "stage1of2r1_adam-lr0.001_e150_init/stage2of2r1_adam-lr0.001_e150_keep/"
        "full_adam-lr0.001_e500_keep"
    ) in runs
    assert {len(planned.run.stages) for planned in paper.figures["fig04"].planned} == {
        1, 2, 3, 4, 5, 6, 11,
    }  # fmt: skip


def test_a_size_with_a_name_of_its_own_is_spelt_by_it(paper):
    models = {str(planned.run.model) for planned in paper.figures["fig05"].planned}
    assert len(models) == 16
    assert "resnet18" in models
    assert "resnet-d2w64" not in models


def test_an_optimiser_takes_its_rate_from_the_grid():
    study = Study(
        with_changes(
            {
                "optimisers": {
                    **PAPER["optimisers"],
                    "adam": {"rule": "adam", "lr": 0.1, "batch": 64},
                },
                "figures": {**PAPER["figures"], "fig07": PAPER["figures"]["fig07"]},
            }
        )
    )
    runs = {str(planned.run) for planned in study.figures["fig07"].planned}
    assert (
        "cifar10/resnet18/seed8/half_adam-lr0.0056-b64_e350_init/full_adam-lr0.00018-b64_e500_keep"
    ) in runs


def test_a_rate_is_not_spelt_and_parsed_again_on_its_way_into_a_run(monkeypatch):
    parsed = []
    parse = optimisers.parse
    monkeypatch.setattr(optimisers, "parse", lambda text: parsed.append(text) or parse(text))
    study = Study(with_changes({"optimisers": {"adam": {"lr": 0.00123}}}))
    assert 0.00123 in {run.stage.optimiser.options["lr"] for run in study.runs}
    assert not [text for text in parsed if "0.00123" in text]


def test_equal_runs_are_one_object(paper):
    runs = [planned.run for figure in paper.figures.values() for planned in figure.planned]
    assert len(set(map(id, runs))) == len(set(runs))
    assert Run.parse(str(runs[0])) is runs[0]


def test_the_paper_s_settings(paper):
    """What the paper states: data, network, lengths, Adam's rate and the momentum."""
    warm = [planned.run for planned in paper.figures["fig01"].planned if planned.role == "warm"]
    assert [str(run) for run in warm] == [
        f"cifar10/resnet18/seed{seed}/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_keep"
        for seed in range(5)
    ]
    momentum = paper.figures["fig10"].runs[0].stage.optimiser
    assert momentum.options["momentum"] == 0.9
    assert {run.stage.optimiser.options["batch"] for run in paper.runs} == {128}


def test_a_figure_gives_the_paths_of_each_role(paper):
    figure = paper.figures["fig11"]
    assert list(figure.roles) == ["cold", "keep1", "keep2"]
    assert figure.roles["keep2"][1] == (
        "cifar10/resnet18/seed1/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_reset3+4+5+6"
    )
    assert figure.labels["keep1"] == "module 1 kept"


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_every_overlay_is_a_valid_study(overlay, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part in ("train/n01/images", "val/n01"):  # of the data that one declares
        place = tmp_path / "tiny-imagenet-200" / part
        place.mkdir(parents=True)
        (place / "0.JPEG").touch()
    changes = yaml.safe_load(overlay.read_text())
    study = Study(with_changes(changes))
    assert study.name == overlay.stem
    assert study.runs


# What a study does with its configuration


def test_a_figure_may_have_its_own_data_model_and_seeds():
    own = {"dataset": "svhn", "model": "resnet-d1w8", "seeds": [7]}
    figure = Study(with_changes(of_figure(**own))).figures["fig02"]
    assert {str(run).split("/full")[0].split("/half")[0] for run in figure.runs} == {
        "svhn/resnet-d1w8/seed7"
    }


def test_data_and_model_may_come_from_the_grid():
    changes = of_figure(model="resnet-d1w{width}", grid={"width": [4, 8]})
    figure = Study(with_changes(changes)).figures["fig02"]
    assert {str(run.model) for run in figure.runs} == {"resnet-d1w4", "resnet-d1w8"}
    assert len(figure.runs) == 5 * 2 * (1 + 9)


def test_a_role_is_its_own_label_where_none_is_given():
    config = without("figures", "fig02", "labels")
    assert Study(config).figures["fig02"].labels == {"cold": "cold", "warm": "warm"}


def test_an_option_of_an_optimiser_is_spelt_into_the_path():
    changes = {"optimisers": {"adam": {"batch": 64, "weight_decay": 0.0001}}}
    run = Study(with_changes(changes)).figures["fig01"].runs[0]
    assert str(run.stage.optimiser) == "adam-lr0.001-wd0.0001-b64"


def test_options_at_their_default_leave_the_path_as_it_is(paper):
    changes = {"optimisers": {"adam": {"batch": 128, "weight_decay": 0.0}}}
    assert Study(with_changes(changes)).runs == paper.runs


def test_a_source_is_found_by_its_data_set():
    study = Study(with_changes({"sources": {"cifar10": "/data/cifar"}}))
    assert study.source("cifar10") == "/data/cifar"
    assert study.source("svhn") is None


def test_figures_that_are_no_targets_are_planned_but_not_made():
    study = Study({**PAPER, "targets": ["fig11"]})
    assert len(study.figures) == 19
    assert len(study.runs) == 15


@pytest.mark.parametrize(
    ("arguments", "figures"),
    [
        (["-n"], None),
        (["all"], None),
        ([], None),
        (["claims"], None),
        (["fig06"], ["fig06"]),
        (["fig01", "fig11"], ["fig01", "fig11"]),
        (["results/figures/paper/fig03.svg"], ["fig03"]),
        (["./results/summary/paper/figures/fig05/runs.parquet"], ["fig05"]),
        (["results/preview/paper/fig03.png"], ["fig03"]),
    ],
)
def test_what_a_command_line_asks_for(paper, arguments, figures):
    expected = paper.runs
    if figures:
        expected = list(dict.fromkeys(r for name in figures for r in paper.figures[name].runs))
    asked = paper.asked(arguments)
    assert [job for job in asked.jobs if job.kind in (PRETRAIN, TUNE)] == paper.measured(expected)
    assert asked.states == ()


def test_a_command_line_may_ask_for_runs(paper):
    half = "cifar10/resnet18/seed9/half_adam-lr0.001_e3_init"
    asked = paper.asked(
        [f"results/pretrain/{half}/checkpoint.safetensors",
         f"results/tune/{half}/full_adam-lr0.001_e5_keep/metrics.parquet"]
    )  # fmt: skip
    assert [(job.kind, str(job.run)) for job in asked.jobs] == [
        (PRETRAIN, half),
        (TUNE, f"{half}/full_adam-lr0.001_e5_keep"),
    ]
    assert [str(run) for run in asked.states] == [half]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("fig99", "targets: unknown figure 'fig99'; expected one of fig01, "),
        ("results/figures/paper/fig99.svg", "unknown figure 'fig99'"),
        ("results/preview/paper/fig99.png", "unknown figure 'fig99'"),
        ("results/summary/paper/figures/fig99/runs.parquet", "unknown figure 'fig99'"),
        (
            "results/tune/cifar10/resnet18/seed0/full_adam-lr1e-3_e3_init/metrics.parquet",
            "is spelt",
        ),
        (
            "results/tune/cifar10/resnet18/seed0/full_adam-lr0.001_e3_init",
            "expected a run's folder",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_named(paper, argument, message):
    with pytest.raises(UserError, match=re.escape(message)):
        paper.asked([argument])


def test_the_configuration_is_left_alone():
    config = copy.deepcopy(PAPER)
    Study(config)
    assert config == PAPER


def test_a_remedy_is_tried_wherever_a_plain_warm_start_is(paper):
    study = Study(with_changes({"remedies": {"last": "reset6"}}))
    figure = study.figures["fig01"]
    assert list(figure.roles) == ["cold", "warm", "warm-last"]
    assert figure.labels["warm-last"] == f"{figure.labels['warm']}, last"
    assert [path.replace("_reset6", "_keep") for path in figure.roles["warm-last"]] == (
        figure.roles["warm"]
    )
    assert len(study.figures["fig02"].runs) == 5 * (1 + 9 + 9)
    # Figure 6 draws module 6 anew already: one more role, no more runs.
    assert len(study.figures["fig06"].planned) == len(paper.figures["fig06"].planned) + 5
    assert len(study.figures["fig06"].runs) == len(paper.figures["fig06"].runs)
    assert study.figures["fig11"].runs == paper.figures["fig11"].runs


# Scale


def test_finding_what_stands_twice_takes_no_comparison_of_all_with_all():
    compared = []

    class Seed(int):
        def __eq__(self, other):
            compared.append(other)
            return int(self) == other

        def __hash__(self):
            return hash(int(self))

    seeds = [Seed(number) for number in range(1000)]
    assert _distinct(seeds) == seeds
    assert len(compared) < 10_000


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/data/a.tar", "/data/a.tar"),
        ("~/a.tar", "/home/me/a.tar"),
        ("$HOME/a.tar", "/home/me/a.tar"),
        ("${HOME}/a.tar", "/home/me/a.tar"),
        ("data/a.tar", "data/a.tar"),  # in the folder that the workflow works in
        ("$UNSET/a.tar", "$UNSET/a.tar"),
        ("/data/a~b$", "/data/a~b$"),
    ],
)
def test_a_source_is_what_a_shell_would_take_it_for(monkeypatch, written, meant):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("UNSET", raising=False)
    study = Study({**PAPER, "sources": {"cifar10": written}})
    assert study.source("cifar10") == meant
    assert study.source("svhn") is None
