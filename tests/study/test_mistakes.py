"""One clear message for each mistake in a configuration."""

import pytest
from configurations import PAPER, of_figure, of_runs, refusal, with_changes, without

from plasticity.core.errors import UserError
from plasticity.study.plan import Study

# Mistakes

RULES = "adam, adamw, muon, nadam, rmsprop, sgd"


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
        ({"rule": "adma"}, f"rule: unknown optimiser 'adma': expected one of {RULES}; "),
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
    assert message == f"optimisers.adam.rule: missing; expected one of {RULES}"


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


def test_a_figure_about_modules_that_the_network_lacks_is_refused_where_it_is_wanted():
    """The others can be made: a network need not have as many as that of the paper."""
    small = Study(with_changes({"model": "mlp-d1w8"}))
    asked = small.asked(["fig01"])
    assert {str(job.run.model) for job in asked.jobs} == {"mlp-d1w8"}
    words = (
        r"^figures\.fig06\.runs\.alone: run '.*reset3': start 'reset3': mlp-d1w8 has the modules 1 "
        r"to 2 \(hidden1, output\), there is no module 3 .*; change the figure, or leave it out"
    )
    for target in ("fig06", "results/figures/paper/fig06.svg"):
        with pytest.raises(UserError, match=words):
            small.asked([target])
    with pytest.raises(UserError, match="there is no module 3"):
        small.asked([])


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
    counts = ("threads", "slots_per_gpu", "evaluate_every")
    if (key, value) == ("study", "text") or (key in counts and value == 3):
        return  # right there
    assert refusal({**PAPER, key: value}).startswith(key)


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
