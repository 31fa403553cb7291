"""Remedies as arms of a figure: which runs they ask for, in which roles, and what is refused."""

import pytest
from configurations import refusal, with_changes
from snakemake.utils import update_config

from plasticity.core.errors import UserError
from plasticity.runs.workload import step_range
from plasticity.study import Study

COLD = "full_{adam}_e{tune}_init"
WARM = "half_{adam}_e{pretrain}_init/full_{adam}_e{tune}_keep"
ARMS = {
    "last": "reset6",
    "l2": "+l2init0.01",
    "l2-throughout": {"methods": "+l2init0.01", "pretrain": True},
    "mixed": {"start": "reset6", "methods": "+l2init0.1", "optimiser": {"lr": 0.01}},
}


BOTH = {"methods": "+l2init0.01", "pretrain": True}


def of_arms(arms=ARMS, **settings):
    """The paper's study with a figure of `arms`."""
    figure = {
        "title": "Remedies",
        "caption": "Arms.",
        "draw": "remedies",
        "seeds": [0, 1],
        "runs": {"cold": COLD, "warm": WARM},
        "arms": arms,
        **settings,
    }
    return with_changes({"figures": {"arms": figure}})


def spelt(study, role):
    """The stages of the runs of a `role` of the figure, those of seed 0."""
    paths = study.figures["arms"].roles[role]
    return [path.partition("seed0/")[2] for path in paths if "seed0/" in path]


def test_each_arm_is_tried_from_pretraining_and_what_acts_in_a_stage_from_scratch_too():
    study = Study(of_arms())
    half, full = "half_adam-lr0.001_e350_init", "full_adam-lr0.001"
    assert {role: spelt(study, role) for role in study.figures["arms"].roles} == {
        "cold": [f"{full}_e500_init"],
        "cold-long": [f"{full}_e675_init"],
        "cold-l2": [f"{full}+l2init0.01_e500_init"],
        "cold-l2-throughout-both": [f"{full}+l2init0.01_e500_init"],
        "cold-mixed": ["full_adam-lr0.01+l2init0.1_e500_init"],
        "warm": [f"{half}/{full}_e500_keep"],
        "warm-last": [f"{half}/{full}_e500_reset6"],
        "warm-l2": [f"{half}/{full}+l2init0.01_e500_keep"],
        "warm-l2-throughout-both": [
            f"half_adam-lr0.001+l2init0.01_e350_init/{full}+l2init0.01_e500_keep"
        ],
        "warm-mixed": [f"{half}/full_adam-lr0.01+l2init0.1_e500_reset6"],
    }


def test_labels_are_told_by_arm():
    study = Study(of_arms(labels={"cold": "from scratch", "warm": "warm", "l2": "L2 Init"}))
    labels = study.figures["arms"].labels
    assert labels["cold-long"] == "from scratch, for longer"
    assert labels["cold-l2"] == "from scratch, L2 Init"
    assert labels["warm-l2-throughout-both"] == "warm, l2-throughout, both stages"


def test_arms_of_the_study_and_cold_for_longer_may_have_labels():
    labels = {"cold": "from scratch", "cold-long": "longer", "pull": "pulled"}
    config = of_arms(labels=labels) | {"remedies": {"pull": "+l2init0.1"}}
    config["figures"]["fig01"]["labels"]["pull"] = "pulled back"
    found = {name: Study(config).figures[name].labels for name in ("arms", "fig01")}
    assert found["arms"]["cold-long"] == "longer"
    assert found["arms"]["cold-pull"] == "from scratch, pulled"
    assert found["fig01"]["warm-pull"].endswith(", pulled back")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("given", "told"), [({}, "scratch, for longer"), ({"cold-long": "Longer"}, "Longer")]
)
def test_cold_for_longer_has_its_label_where_it_is_spelt_too(first, given, told):
    long = {"cold-long": "full_{adam}_e75_init"}
    runs = {"cold": COLD, "warm": WARM}
    spelt_runs = {**long, **runs} if first else {**runs, **long}
    labels = Study(of_arms(runs=spelt_runs, labels={"cold": "scratch", **given})).figures["arms"]
    assert labels.labels["cold-long"] == told
    assert [*labels.labels][:2] == ["cold", "cold-long"]


def test_cold_for_longer_has_at_least_the_steps_of_both_stages():
    """And less than an epoch more, though half of the data is not a whole number of batches."""
    study = Study(of_arms(dataset="cifar10-n1300"))
    (long, _), (warm, _) = (
        [item.run for item in study.figures["arms"].planned if item.role == role]
        for role in ("cold-long", "warm")
    )
    both = step_range(warm.parent)[1] + step_range(warm)[1]
    assert both <= step_range(long)[1] < both + 10


def test_a_stage_that_lasts_until_an_accuracy_has_no_longer_run_but_a_spelt_one():
    until = {"cold": "full_{adam}_until99x50_init"}
    until["warm"] = "half_{adam}_until99x50_init/full_{adam}_until99x50_keep"
    assert "cold-long" not in Study(of_arms(runs=until)).figures["arms"].roles
    study = Study(of_arms(runs={**until, "cold-long": "full_{adam}_e75_init"}))
    assert spelt(study, "cold-long") == ["full_adam-lr0.001_e75_init"]


def test_a_start_takes_its_place_in_every_stage_of_a_chain_and_a_method_where_it_is_told():
    chain = "chunk{i}of3_{adam}_e{stage}_{start}*3/full_{adam}_e{tune}_keep"
    study = Study(of_arms(runs={"cold": COLD, "warm": chain}))
    stages = "chunk1of3_adam-lr0.001_e150_init/chunk2of3_adam-lr0.001_e150_{0}/"
    stages += "chunk3of3_adam-lr0.001_e150_{0}/full_adam-lr0.001_e500_{0}"
    assert spelt(study, "warm-last") == [stages.format("reset6")]
    plain = stages.format("keep")
    assert spelt(study, "warm-l2") == [plain.replace("_e500", "+l2init0.01_e500")]
    throughout = plain.replace("lr0.001", "lr0.001+l2init0.01")
    assert spelt(study, "warm-l2-throughout-both") == [throughout]


def test_another_rule_keeps_the_batch_and_the_schedule():
    rule = {"rule": "sgd", "lr": 0.1}
    arms = {"sgd": {"optimiser": rule}, "large": {"optimiser": {**rule, "batch": 256}}}
    scheduled = {"optimisers": {"adam": {"batch": 64, "schedule": "cosine"}}}
    config = of_arms(arms)
    update_config(config, scheduled)
    study = Study(config)
    assert spelt(study, "cold-sgd") == ["full_sgd-lr0.1-b64-cosine_e500_init"]
    assert spelt(study, "cold-large") == ["full_sgd-lr0.1-b256-cosine_e500_init"]


def test_an_overlay_takes_an_arm_out():
    config = of_arms(TWO, tune={"validation": 5000, "points": POINTS})
    without = {"arms": {"last": None}, "tune": {"points": {"last": None}}}
    update_config(config, {"figures": {"arms": without}})
    roles = Study(config).figures["arms"].roles
    assert list(roles) == ["cold", "cold-long", "cold-l2", "warm", "warm-l2"]


def test_remedies_of_the_study_are_arms_too():
    config = of_arms({"last": "reset6"}) | {"remedies": {"l2": "+l2init0.01", "last": "reset5"}}
    roles = Study(config).figures["arms"].roles
    assert list(roles) == ["cold", "cold-long", "cold-l2", "warm", "warm-l2", "warm-last"]
    assert roles["warm-last"][0].endswith("_reset6")


def test_remedies_may_act_beside_the_rule_in_every_figure():
    both = {"l2": "+l2init0.01", "l2-both": {"methods": "+l2init0.01", "pretrain": True}}
    figure = Study(with_changes({"remedies": both})).figures["fig01"]
    assert list(figure.roles) == ["cold", "warm", "warm-l2", "warm-l2-both"]
    assert figure.roles["warm-l2"][0].endswith("_e350_init/full_adam-lr0.001+l2init0.01_e500_keep")


def test_an_arm_that_the_network_is_not_made_for_is_refused_where_it_is_wanted():
    study = Study(of_arms({"a": "reset7"}))
    with pytest.raises(UserError, match=r"figures.arms.arms.a: start .* no module 7"):
        study.figure("arms")


POINTS = {
    "cold": [{}, {"optimiser": {"lr": 0.01}}],
    "warm": [{}, {"optimiser": {"lr": 0.01}}],
    "last": [{}, "reset5+6"],
    "l2": ["+l2init0.1", {"optimiser": {"lr": 0.01}}],
}
TWO = {"last": "reset6", "l2": "+l2init0.01"}


def test_as_much_is_tried_of_each_arm_on_data_that_are_held_out():
    study = Study(of_arms(TWO, tune={"validation": 5000, "points": POINTS}))
    figure = study.figures["arms"]
    assert {str(run.dataset) for run in figure.runs} == {"cifar10-v5000"}
    half, full = "half_adam-lr0.001_e350_init", "full_adam-lr0.001"
    assert {role: spelt(study, role) for role in figure.roles} == {
        "cold": [f"{full}_e500_init", f"{full.replace('0.001', '0.01')}_e500_init"],
        "cold-long": [f"{full}_e675_init", f"{full.replace('0.001', '0.01')}_e675_init"],
        "cold-l2": [f"{full}+l2init0.1_e500_init", "full_adam-lr0.01+l2init0.01_e500_init"],
        "warm": [f"{half}/{full}_e500_keep", f"{half}/full_adam-lr0.01_e500_keep"],
        "warm-last": [f"{half}/{full}_e500_reset6", f"{half}/{full}_e500_reset5+6"],
        "warm-l2": [
            f"{half}/{full}+l2init0.1_e500_keep",
            f"{half}/full_adam-lr0.01+l2init0.01_e500_keep",
        ],
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arms": None}, "figures.arms.draw: is of arms; name the remedies under arms"),
        ({"arms": {"same": "keep"}}, "figures.arms.arms.same: 'keep' is the plain warm start"),
        ({"arms": {"none": {}}}, "figures.arms.arms: none: changes nothing"),
        ({"arms": {"l2-both": "+l2init0.1"}}, "arms: l2-both: ends like what acts in pretraining"),
        (
            {"arms": {"l2": BOTH, "l2-both": BOTH}},
            "figures.arms.arms.l2-both: its role is called 'warm-l2-both', and that of "
            "figures.arms.arms.l2 is too; rename one",
        ),
        ({"labels": {"lost": "x"}}, "figures.arms.labels: unknown role 'lost'; expected one of co"),
        ({"arms": {"long": "reset6"}}, "figures.arms.arms: long: is what a plain run is called"),
        ({"arms": {"cold": "reset6"}}, "figures.arms.arms: cold: is what a plain run is called"),
        ({"arms": {"l2": "+l2ini0.01"}}, "figures.arms.arms.l2: unknown method 'l2ini0.01'"),
        ({"arms": {"l2": {"methods": "l2init0.01"}}}, "expected a '+' before each"),
        ({"arms": {"l2": {"method": "+l2init0.01"}}}, "did you mean 'methods'?"),
        ({"arms": {"a": {"start": "reset6", "pretrain": True}}}, "neither methods nor an optim"),
        ({"arms": {"a": {"optimiser": {"lr": -1}}}}, "figures.arms.arms.a: optimiser.lr: "),
        ({"arms": {"a": {"optimiser": {"rule": "adma"}}}}, "arms.a: optimiser.rule: unknown opti"),
        ({"runs": {"cold": COLD, "worm": WARM, "warm": WARM}}, "runs: expected cold and warm, of"),
        ({"grid": {"epochs": [1, 2]}}, "grid: a figure with arms has none"),
        (
            {"runs": {"cold": COLD.replace("tune", "stage"), "warm": WARM}},
            "got full_adam-lr0.001_e15",
        ),
        (
            {"runs": {"cold": COLD, "warm": WARM.replace("keep", "reset6")}},
            "arms take the place of",
        ),
    ],
)
def test_what_is_no_figure_of_arms_is_refused(settings, message):
    config = of_arms(**settings) if "arms" in settings else of_arms(ARMS, **settings)
    assert message in refusal(config)


def test_an_arm_and_a_remedy_of_the_study_that_are_called_alike_are_refused():
    config = of_arms({"l2-both": BOTH}) | {"remedies": {"l2": BOTH}}
    assert "figures.arms.arms.l2-both: its role is called" in refusal(config)
    assert "that of remedies.l2 is too" in refusal(config)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            "cifar10-v1000",
            "figures.arms.tune.validation: cifar10-v1000 holds out 1000 examples already; name the "
            "data set without -v, or leave tune out",
        ),
        ("cifra10", "figures.arms.dataset: unknown data set 'cifra10'"),
        ("cifar{x}", "figures.arms.runs.cold: unknown word in braces 'x'"),
    ],
)
def test_data_that_are_held_out_already_are_refused_where_tuning_holds_some_out(dataset, message):
    config = of_arms(TWO, dataset=dataset, tune={"validation": 5000, "points": POINTS})
    assert refusal(config).startswith(message)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"l2": None}, "figures.arms.tune.points.l2: missing; every arm has as many points"),
        ({"l2": [{}]}, "expected as many for every arm, got cold: 2, warm: 2, last: 2, l2: 1"),
        ({"l3": [{}, {}]}, "tune.points: unknown arm 'l3'; expected one of cold, warm, last, l2"),
        ({"cold": ["reset6", {}]}, "points.cold.0: expected an optimiser"),
        ({"l2": [{}, {"methods": "+l2init0.1", "pretrain": True}]}, "points.l2.1.pretrain: belong"),
        ({"l2": [{}, {"optimiser": {"lr": -1}}]}, "tune.points.l2.1: optimiser.lr: "),
        ({"last": [{}, "reset6"]}, "figures.arms.tune.points.last: 0 and 1 ask for the same run"),
    ],
)
def test_unequal_tuning_is_refused(points, message):
    changed = {name: given for name, given in {**POINTS, **points}.items() if given is not None}
    assert message in refusal(of_arms(TWO, tune={"validation": 5000, "points": changed}))
