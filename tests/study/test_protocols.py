"""The overlays of protocols: what each asks for, on its own data and on a few small images."""

import pytest
import yaml
from configurations import OVERLAYS, ROOT, with_changes
from snakemake.utils import update_config

from plasticity.study import Study

PROTOCOLS = {path.stem: path for path in sorted((ROOT / "studies/protocols").glob("*.yaml"))}
ALL = [ROOT / "config.yaml", *OVERLAYS, *PROTOCOLS.values()]
TINY = {
    "dataset": "digits-clutter-n128",
    "model": "resnet-d1w8",
    "seeds": [0],
    "lengths": {"pretrain": 2, "tune": 2},
}
TINIER = {
    "ash": {"figures": {"remedies_mlp": {"model": "mlp-d2w8"}}},
    "dash": {"lengths": {"chunk": 2}},
    "recipe": {"lengths": {"long": 2}},
    "tuned": {"figures": {"remedies": {"tune": {"validation": 32}}}},
}


def study_of(name, *overlays):
    config = with_changes(yaml.safe_load(PROTOCOLS[name].read_text()))
    for overlay in overlays:
        update_config(config, overlay)
    return Study(config)


def stages(study, role, figure="remedies"):
    """The stages of the first run of a `role`."""
    return study.figures[figure].roles[role][0].split("/")[3:]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_a_study_of_remedies_whose_lines_say_where_they_are_from(name):
    study = study_of(name)
    assert study.name == name
    assert [figure.has_arms for figure in study.targets] == [True] * len(study.settings.targets)
    assert "(I)" in PROTOCOLS[name].read_text()
    for figure in study.targets:
        assert {"cold", "warm", "warm-last", "cold-l2init", "warm-l2init"} <= figure.roles.keys()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_can_be_tried_on_a_few_small_images(name):
    study = study_of(name, TINY, TINIER[name])
    assert study.asked([]).jobs
    for figure in study.targets:
        assert {str(run.dataset) for run in figure.runs} <= {
            "digits-clutter-n128",
            "digits-clutter-n128-v32",
        }


def test_ash_and_adams_stop_at_an_accuracy():
    study = study_of("ash")
    assert stages(study, "warm") == [
        "half_adam-lr0.001_until99x500_init",
        "full_adam-lr0.001_until99x500_keep",
    ]
    assert study.figures["remedies"].roles["cold"][0].startswith("cifar10-v16667/resnet-d2w16/")
    assert "mlp-d2w100" in study.figures["remedies_mlp"].roles["cold"][0]


def test_dash_has_50_chunks_and_a_start_at_each():
    study = study_of("dash")
    chain = stages(study, "warm-last", "remedies_50")
    assert len(chain) == 50
    assert all(stage.endswith("_until99.9x99_reset6") for stage in chain[1:])
    assert len(stages(study, "warm-top")) == 25


def test_the_recipe_is_in_every_stage_of_every_arm():
    study = study_of("recipe")
    stages_of_all = [stage for run in study.figures["remedies"].runs for stage in run.stages]
    for stage in stages_of_all:
        assert "augment" in stage.seen
        assert stage.optimiser.options["schedule"] == "cosine"
        assert stage.optimiser.options["weight_decay"] > 0
    assert stages(study, "cold") == ["full+augment_sgd-lr0.1-m0.9-wd0.0005-cosine_e200_init"]


@pytest.mark.parametrize("overlay", ALL, ids=lambda path: path.stem)
def test_tenfold_is_ten_times_the_rate(overlay):
    config = with_changes(yaml.safe_load(overlay.read_text()))
    config["figures"]["remedies"].pop("tune", None)
    config |= {"dataset": "cifar10", "datasets": {}}  # whatever data are here
    figure = Study(config).figures["remedies"]
    rates = {
        item.role: item.run.stage.optimiser.options["lr"]
        for item in figure.planned
        if item.role in ("warm", "warm-tenfold")
    }
    assert rates["warm-tenfold"] == pytest.approx(10 * rates["warm"])


def test_tuning_is_as_much_for_each_arm():
    study = study_of("tuned")
    roles = study.figures["remedies"].roles
    assert {len(paths) for paths in roles.values()} == {3 * len(study.settings.seeds)}
