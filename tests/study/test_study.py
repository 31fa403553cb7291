"""The configuration: the paper's study as planned, and one clear message for each mistake."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from plasticity.core.errors import UserError
from plasticity.runs.kinds import CONNECTIVITY, PRETRAIN, TELEMETRY, TUNE
from plasticity.study import Study
from plasticity.study.settings import _distinct

ROOT = Path(__file__).parents[2]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())
OVERLAYS = sorted((ROOT / "studies").glob("*.yaml"))


def with_changes(changes):
    """The paper's configuration with an overlay, as Snakemake lays one over another."""
    config = copy.deepcopy(PAPER)
    update_config(config, changes)
    return config


def without(*keys):
    config = copy.deepcopy(PAPER)
    *above, last = keys
    place = config
    for key in above:
        place = place[key]
    del place[last]
    return config


def refusal(config):
    with pytest.raises(UserError) as refused:
        Study(config)
    return str(refused.value)


def of_figure(**settings):
    """An overlay of figure 2."""
    return {"figures": {"fig02": settings}}


def of_runs(cold):
    return of_figure(runs={"cold": cold})


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


def test_the_paper_has_its_figures_and_makes_all_of_them(paper):
    early = ("tickets", "telemetry", "perturbations", "sizes", "data", "sparse", "connectivity")
    assert list(paper.figures) == [
        *(f"fig{number:02}" for number in range(1, 12)),
        *(f"early_{name}" for name in early),
    ]
    assert [figure.name for figure in paper.groups["early_phase"]] == list(paper.figures)[11:]
    assert [figure.name for figure in paper.targets] == list(paper.figures)


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
def test_every_overlay_is_a_valid_study(overlay):
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
    assert len(study.figures) == 18
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


# Mistakes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datset": "svhn"}, "configuration: unknown key 'datset'; expected one of study, "),
        ({"datset": "svhn"}, "; did you mean 'dataset'?"),
        (of_figure(titel="x"), "figures.fig02: unknown key 'titel'; expected one of title, "),
        (of_figure(titel="x"), "; did you mean 'title'?"),
        ({"targets": ["fig2"]}, "targets: unknown figure 'fig2'; expected one of fig01, fig02"),
        ({"targets": ["fig01", "fig01"]}, "targets: holds 'fig01' twice; remove one"),
        ({"targets": []}, "targets: is empty; expected at least one value"),
        ({"study": "My Study"}, "study: got 'My Study'; expected a lower-case letter, then"),
        ({"study": "../up"}, "study: got '../up'; expected a lower-case letter, then"),
        ({"device": "gpu"}, "device: expected 'cuda' or 'cpu', got 'gpu'"),
        (
            {"precision": "fp16"},
            "precision: expected 'float32', 'tfloat32' or 'bfloat16', got 'fp16'",
        ),
        (
            {"device": "cpu", "precision": "tfloat32"},
            "precision: tfloat32 needs a GPU (device: cuda); choose another one",
        ),
        (
            {"device": "cpu", "execution": "graph"},
            "execution: graph needs a GPU (device: cuda); choose another one",
        ),
        ({"execution": "fast"}, "execution: expected 'auto', 'eager', 'graph' or 'compiled'"),
        ({"threads": 0}, "threads: expected greater than or equal to 1, got 0"),
        ({"threads": "2"}, "threads: expected a valid integer, got the text '2'"),
        ({"slots_per_gpu": 0}, "slots_per_gpu: expected greater than or equal to 1, got 0"),
    ],
)
def test_a_mistake_at_the_top_is_named(changes, message):
    assert message in refusal(with_changes(changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "cifar11"}, "dataset: unknown data set 'cifar11': expected one of cifar10"),
        ({"dataset": "cifar11"}, "did you mean 'cifar10'?"),
        (
            {"dataset": "cifar10-r16-n10"},
            "dataset: data set 'cifar10-r16-n10' is spelt 'cifar10-n1",
        ),
        ({"dataset": "../data"}, "dataset: unknown data set '../data'"),
        ({"dataset": "cifar{n}"}, "unknown word in braces 'n'"),
        ({"model": "resnet19"}, "model: unknown model 'resnet19'"),
        ({"model": "resnet-d2w64"}, "model: model 'resnet-d2w64' is spelt 'resnet18'"),
        ({"model": 18}, "model: expected a valid string, got 18"),
        (of_figure(model="resnet19"), "unknown model 'resnet19'"),
        (of_figure(dataset="svnh"), "unknown data set 'svnh'"),
    ],
)
def test_an_unknown_data_set_or_model_is_named(changes, message):
    assert message in refusal(with_changes(changes))


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([0, 1, 0], "seeds: holds 0 twice; remove one"),
        ([0, -1], "seeds.1: expected greater than or equal to 0, got -1"),
        ([], "seeds: is empty; expected at least one value"),
        ([0.5], "seeds.0: expected a valid integer, got 0.5"),
        ([True], "seeds.0: expected a valid integer, got True"),
        (
            ["1"],
            "seeds.0: expected a valid integer, got the text '1', which was not read as a number",
        ),
        (5, "seeds: expected a list, such as [0, 1, 2], got 5"),
    ],
)
def test_impossible_seeds_are_named(seeds, message):
    assert message in refusal(with_changes({"seeds": seeds}))
    assert f"figures.fig02.{message}" in refusal(with_changes(of_figure(seeds=seeds)))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"rule": "adma"}, "rule: unknown optimiser 'adma': expected one of adam, rmsprop, sgd; "),
        ({"rule": "adma"}, "did you mean 'adam'?"),
        ({"rule": 3}, "rule: "),
        ({"rule": ["adam"]}, "rule: "),
        ({"rule": None}, "rule: "),
        ({"lr": "1e-3"}, "lr: expected a number above 0, got the text '1e-3', which was not read"),
        ({"lr": "1e-3"}, "write 0.001"),
        ({"lr": -0.1}, "lr: expected a number above 0, got -0.1"),
        ({"lr": 0}, "lr: expected a number above 0, got 0"),
        ({"lr": None}, "lr: expected a number above 0, got None"),
        ({"lr": float("nan")}, "lr: expected a number above 0, got nan"),
        ({"rule": "sgd", "momentum": 1.5}, "momentum: expected a number of at least 0 and below 1"),
        ({"momentum": 0.9}, "momentum: no such option of adam-lr{lr}[-wd{weight_decay}]"),
        ({"batch": 0}, "batch: expected a whole number of at least 1, got 0"),
        ({"batch": 64.0}, "batch: expected a whole number of at least 1, got 64.0"),
    ],
)
def test_a_mistake_in_an_optimiser_is_named(entry, message):
    found = refusal(with_changes({"optimisers": {"adam": entry}}))
    assert found.startswith("optimisers.adam.")
    assert message in found


def test_an_optimiser_without_a_rule_is_named():
    message = refusal(without("optimisers", "adam", "rule"))
    assert message == "optimisers.adam.rule: missing; expected one of adam, rmsprop, sgd"


def test_an_optimiser_without_a_rate_is_named():
    message = refusal(without("optimisers", "adam", "lr"))
    assert message == "optimisers.adam.lr: missing, expected a number above 0"


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (0, "lengths.tune: expected greater than or equal to 1, got 0"),
        (5.0, "lengths.tune: expected a valid integer, got 5.0"),
        (
            "500",
            "lengths.tune: expected a valid integer, got the text '500', which was not",
        ),
    ],
)
def test_an_impossible_length_is_named(length, message):
    assert message in refusal(with_changes({"lengths": {"tune": length}}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "figures.fig02.grid.epochs: is empty; expected at least one value"),
        ([1, 2, 1], "figures.fig02.grid.epochs: holds 1 twice; remove one"),
        ([True], "figures.fig02.grid.epochs.0: expected a valid integer, got True"),
        ([[1]], "figures.fig02.grid.epochs.0: expected a valid integer, got [1]"),
        (3, "figures.fig02.grid.epochs: expected a list, such as [0, 1, 2], got 3"),
        ([0], "figures.fig02.runs.warm: run "),
        ([0], "length 'e0': expected e<number>, a whole number of at least 1"),
        ([1.5], "length 'e1.5': expected e<number>"),
    ],
)
def test_a_mistake_in_a_grid_is_named(values, message):
    assert message in refusal(with_changes(of_figure(grid={"epochs": values})))


@pytest.mark.parametrize(
    ("figure", "grid", "message"),
    [
        ("fig03", {"gamma": [1]}, "gamma: expected a number above 0 and below 1, got 1"),
        ("fig03", {"gamma": [0.5, 0.50]}, "fig03.grid.gamma: holds 0.5 twice; remove one"),
        ("fig03", {"gamma": []}, "figures.fig03.grid.gamma: is empty; expected at least one"),
        ("fig04", {"ratio": [1.5]}, "ratio: expected a number of at least 0 and of at most 1"),
        ("fig04", {"splits": [0]}, "expected a whole number of at least 1 after '*', got '0'"),
        ("fig04", {"splits": [2.5]}, "expected a whole number of at least 1 after '*', got '2.5'"),
        ("fig05", {"depth": [0]}, "depth: expected a whole number of at least 1, got 0"),
        ("fig05", {"depth": [1, "1"]}, "{'depth': 1, 'width': 16} and {'depth': '1', 'width': 16}"),
        ("fig06", {"top": ["6+5"]}, "start 'reset6+5' is spelt 'reset5+6'"),
        ("fig07", {"tuning_rate": ["1e-3"]}, "lr: expected a number above 0, got the text '1e-3'"),
        ("fig07", {"tuning_rate": [0]}, "lr: expected a number above 0, got 0"),
    ],
)
def test_a_mistake_in_the_grid_of_a_figure_is_named(figure, grid, message):
    found = refusal(with_changes({"figures": {figure: {"grid": grid}}}))
    assert message in found
    assert found.startswith(f"figures.{figure}.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"lengths": {"pretrian": 5}},
            "lengths.pretrian: no run of any figure uses it; did you mean",
        ),
        (
            {"optimisers": {"spare": {"rule": "adam", "lr": 0.1}}},
            "optimisers.spare: no run of any figure uses it; remove it",
        ),
        ({"remedies": {"same": "keep"}}, "remedies.same: 'keep' is the plain warm start itself"),
    ],
)
def test_what_is_given_and_not_used_is_named(changes, message):
    assert message in refusal(with_changes(changes))


def test_a_mistake_names_the_point_of_the_grid():
    found = refusal(with_changes({"figures": {"fig03": {"grid": {"gamma": [0.5, 1]}}}}))
    assert found.endswith("(at gamma: 1)")


@pytest.mark.parametrize(("key", "word"), [("lengths", "i"), ("lengths", "start"), ("grid", "i")])
def test_words_with_a_meaning_of_their_own_cannot_be_defined(key, word):
    changes = {"lengths": {word: 3}} if key == "lengths" else of_figure(grid={word: [1]})
    assert f"{key}.{word}: has a meaning of its own; choose another" in refusal(
        with_changes(changes)
    )


@pytest.mark.parametrize("variable", ["depth", "epoch", "ep"])
def test_a_grid_variable_that_no_run_uses_is_named(variable):
    """Also one whose name is the beginning of another's, such as epoch and epochs."""
    message = refusal(with_changes(of_figure(grid={variable: [1, 2]})))
    assert message == f"figures.fig02.grid.{variable}: no run of the figure uses it"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("full_{adm}_e{tune}_init", "unknown word in braces 'adm'; expected one of pretrain, tune"),
        ("full_{adm}_e{tune}_init", "did you mean 'adam'?"),
        ("full_{adam}_e{tune}", "expected <data>_<optimiser>_<length>_<start>"),
        ("full_{adam}_e{tune}_init_init", "expected <data>_<optimiser>_<length>_<start>"),
        ("ful_{adam}_e{tune}_init", "unknown data selection 'ful'"),
        ("full_{adam}_e{tune}_keep", "the first stage of a run starts with 'init'"),
        ("full_{adam}_e{tune}_init/full_{adam}_e{tune}_reset7", "there is no module 7"),
        ("full_{adam}_e{tune}_init/full_{adam}_e{tune}_reset6+5", "'reset6+5' is spelt 'reset5+6'"),
        ("full_{adam}_e{tune}_init/", "stage '': expected <data>_"),
        ("../full_{adam}_e{tune}_init", "stage '..': expected <data>_"),
        ("full_{adam_e{tune}_init", "full_{adam_e{tune}_init"),
        ("full_adam}_e{tune}_init", "Single '}' encountered"),
        ("full_{}_e{tune}_init", "unknown word in braces ''"),
        ("full_{0}_e{tune}_init", "unknown word in braces '0'"),
        ("full_{adam}_e{tune:q}_init", "unknown word in braces 'q'"),
        ("full_{adam}_e{tune:tune}_init", "'{tune:tune}': tune is no optimiser"),
        ("full_{adam:tune}_e{tune}_init", "'{adam:tune}': tune is no variable of the grid"),
        ("full_{adam}_e{tune:{x}}_init", "{tune:{x}}"),
        (
            "full_{adam}_e{tune}_init*0",
            "stage 'full_{adam}_e{tune}_init*0': expected a whole number",
        ),
        ("full_{adam}_e{tune}_init*many", "of at least 1 after '*', got 'many'"),
        ("full_{adam}_e{tune}_{start}", "unknown word in braces 'start'"),
        ("stage{i}of2r0_{adam}_e{tune}_{start}*3", "stage: expected at most 2"),
        ("stage{i}of0r0_{adam}_e{tune}_{start}*1", "stages: expected a whole number of at least 1"),
        (
            "stage1of1r1.5_{adam}_e{tune}_init",
            "ratio: expected a number of at least 0 and of at most 1",
        ),
        (
            "stage1of1r-1_{adam}_e{tune}_init",
            "ratio: expected a number of at least 0 and of at most 1",
        ),
        (
            "stage1of10r0.5_{adam}_e{tune}_init",
            "deals out the classes to 11 stages, but cifar10 has 10",
        ),
        ("drift1_{adam}_e{tune}_init", "gamma: expected a number above 0 and below 1, got 1"),
        ("drift0_{adam}_e{tune}_init", "gamma: expected a number above 0 and below 1, got 0"),
        ("full_{adam.name}_e{tune}_init", "unknown word in braces 'adam.name'"),
        ("", "stage '': expected <data>_"),
    ],
)
def test_a_mistake_in_a_run_is_named(template, message):
    found = refusal(with_changes(of_runs(template)))
    assert found.startswith("figures.fig02.runs.cold: ")
    assert message in found


@pytest.mark.parametrize("dataset", ["{}", "{adam.name}", "{adam[x]}", "{"])
def test_strange_braces_in_a_data_set_are_named(dataset):
    assert dataset.strip("{}") in refusal(with_changes({"dataset": dataset}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"draw": "pretraining"}, "figures.fig02.draw: got 'pretraining'; expected one of capac"),
        ({"draw": "style"}, "figures.fig02.draw: got 'style'; expected one of capacity, conn"),
        ({"draw": "os"}, "figures.fig02.draw: got 'os'; expected one of capacity, conn"),
        (
            {"labels": {"warn": "x"}},
            "unknown role 'warn'; expected one of cold, warm; did you mean",
        ),
        ({"labels": {"warn": "x"}}, "figures.fig02.labels: "),
        ({"runs": {}, "grid": {}}, None),
        ({"runs": None}, "figures.fig02.runs: expected a valid dictionary, got None"),
        ({"runs": {"Cold": "full_{adam}_e1_init"}}, "got 'Cold'; expected a lower-case letter"),
        ({"title": 3}, "figures.fig02.title: expected a valid string, got 3"),
    ],
)
def test_a_mistake_in_a_figure_is_named(settings, message):
    if message is None:
        config = with_changes({})
        config["figures"]["fig02"].update(settings)
        assert "figures.fig02.runs: " in refusal(config)
    else:
        assert message in refusal(with_changes(of_figure(**settings)))


@pytest.mark.parametrize(
    "keys", [("seeds",), ("study",), ("figures", "fig02", "runs"), ("figures", "fig02", "draw")]
)
def test_a_missing_key_is_named(keys):
    key = ".".join(keys)
    assert f"{key}: missing; add it to the configuration" in refusal(without(*keys))


def test_an_empty_configuration_lacks_every_key():
    message = refusal({})
    for key in ("study", "dataset", "model", "seeds", "device", "optimisers", "figures"):
        assert f"{key}: missing" in message


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("rest6", "unknown start 'rest6'"),
        ("reset7", "there is no module 7"),
        ("reset6+5", "is spelt 'reset5+6'"),
        ("init", "would forget the stages before it"),
    ],
)
def test_an_impossible_remedy_is_named(start, message):
    found = refusal(with_changes({"remedies": {"mine": start}}))
    assert found.startswith("remedies.mine: ")
    assert message in found


@pytest.mark.parametrize("name", ["cifar11", "cifar10-n10"])
def test_a_source_of_no_data_set_is_named(name):
    """A variant is made from the whole data set, whose source is the only one that is read."""
    assert refusal(with_changes({"sources": {name: "/data"}})).startswith("sources")


def test_everything_that_is_wrong_is_said_at_once():
    changes = {"devcie": "cpu", "seeds": [-1], "threads": 0, "figures": {"fig02": {"draw": "x"}}}
    message = refusal(with_changes(changes))
    for key in ("devcie", "seeds.0", "threads", "figures.fig02.draw"):
        assert key in message
    assert len(message.splitlines()) == 4


def test_mistakes_in_words_are_said_with_the_others():
    message = refusal(with_changes({"threads": 0, "optimisers": {"adam": {"lr": -1}}}))
    assert "threads" in message
    assert "optimisers.adam.lr" in message


@pytest.mark.parametrize("value", [None, 3, "text", [], [{}]])
@pytest.mark.parametrize("key", sorted({*PAPER} - {"sources"}))
def test_a_value_of_another_kind_is_named(key, value):
    if (key, value) in (("study", "text"), ("threads", 3), ("slots_per_gpu", 3)):
        return  # right there
    assert refusal({**PAPER, key: value}).startswith(key)


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
    ("changes", "message"),
    [
        (
            {"figures": {"early_connectivity": {"observe": "telemetry"}}},
            "figures.early_connectivity.observe: expected connectivity, which draw: connectivity",
        ),
        ({"figures": {"early_telemetry": {"observe": None}}}, "observe: expected telemetry"),
        (
            {"telemetry": {"iteration": 3}},
            "telemetry: unknown key 'iteration'; expected one of iterations, each, per_decade",
        ),
        ({"telemetry": None}, "telemetry: expected keys with values, got None"),
        (
            {"lengths": {"total": 10}, "telemetry": {"iterations": 4000}, "targets": ["fig01",
             "early_telemetry"]},
            "figures.early_telemetry.runs.dense: telemetry.iterations: 4,000 updates are to be "
            "observed, and stage",
        ),
        (
            {"figures": {"early_connectivity": {"runs": {
                "start": "full+rotation_{early}_e{total}_init"}}}},
            "its last stage has labels of its own",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_what_is_observed_is_named(changes, message):
    assert message in refusal(with_changes(changes))
