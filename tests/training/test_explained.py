"""What ends a job is told in words for users: of own code by its place, and the rest as it is."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from chain import Chain
from own_members import own_members  # noqa: F401 (a fixture)
from tiny import Folder, tiny_data

from plasticity.core.errors import UserError
from plasticity.data import storage
from plasticity.models import masks
from plasticity.observe import telemetry
from plasticity.runs import Run, metrics
from plasticity.runs.cadence import Cadence
from plasticity.training import checkpoint, loop

pytestmark = pytest.mark.usefixtures("own_members")
PLACE = "digits-clutter/{model}/seed0/full_{rule}-b16_e{epochs}_init"


def run_of(model="dropnet", rule="adam-lr0.01", epochs=1, then="") -> Run:
    return Run.parse(PLACE.format(model=model, rule=rule, epochs=epochs) + then)


# Sub-networks of layers without a gradient


@pytest.mark.parametrize("model", ["frozennet", "sparenet"])
@pytest.mark.parametrize("rule", ["adam-lr0.01", "sgd-lr0.1-m0.9-wd0.01", "rmsprop-lr0.01"])
def test_tickets_of_layers_without_a_gradient_are_trained(chain: Chain, model: str, rule: str):
    """Their masks hold, and what is frozen stays as it is."""
    run = Run.parse(PLACE.format(model=model, rule=rule, epochs=2).replace("init", "ticket2-p0.5"))
    after = checkpoint.load(chain.state(run)).network
    stage = chain.prepared(run)
    before = stage.train_state.network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    fixed = {"frozennet": "numbered.0.0.weight", "sparenet": "numbered.0.spare.weight"}[model]
    assert fixed not in moved
    assert moved
    for name, kept in stage.initial_state.mask.items():
        assert (after[name][~kept] == 0).all()
    assert stage.initial_state.density == pytest.approx(0.25, abs=0.01)


def test_telemetry_of_a_layer_without_a_gradient_has_none(chain: Chain):
    run = run_of("frozennet")
    table = telemetry.observe(chain.prepared(run), None, Cadence(4, 4, 1, 1), print).to_pylist()
    found = {name: {row["value"] for row in table if row["quantity"] == name}
             for name in ("gradient_norm", "weight_magnitude")}  # fmt: skip
    assert found["gradient_norm"] == {None}
    assert None not in found["weight_magnitude"]


# Networks of one's own


def test_all_kinds_of_normalisation_are_trained_and_drawn_anew(chain: Chain):
    first = run_of("normnet")
    chain.state(Run.parse(f"{first}/full_adam-lr0.01-b16_e1_reset1+2"))
    stage = chain.prepared(Run.parse(f"{first}/full_adam-lr0.01-b16_e1_reset1+2"))
    state = stage.train_state.network.state_dict()
    assert set(state["numbered.0.2.weight"].tolist()) == {1.0}
    assert set(state["numbered.1.1.running_mean"].tolist()) == {0.0}


def test_layers_without_a_size_get_one(chain: Chain):
    chain.state(run_of("lazynet"))
    ticket = Run.parse(str(run_of("lazynet")).replace("init", "ticket1-p0.5"))
    chain.state(ticket)
    assert masks.read_mask(chain.mask(ticket)).total == 64 * 8 + 8 * 2


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("eightnet", "model eightnet: declares modules=8 among its facts, and its network has 2"),
        ("othernet", r"model othernet: returns list; expected a torch module that maps images"),
        ("manynet", r"model manynet: gives \(2, 5\) for 2 images .*; expected logits \(2, 2\)"),
        ("pairnet", "network _Pair: returns tuple in evaluation; expected logits"),
        ("unpoolnet", r"max_unpooling2d_forward_out, which model unpoolnet .* uses, gives other"),
        (
            "wrongnet",
            r"model wrongnet: its code failed in stage '.*' \(RuntimeError: .*\); correct",
        ),
    ],
)
def test_a_network_that_is_wrong_is_refused_by_name(folder: Folder, model: str, words: str):
    with pytest.raises(UserError, match=words):
        folder.train(run_of(model))


def test_a_head_that_is_not_the_last_module_cannot_be_drawn_for_another_task(folder: Folder):
    turned = Run.parse(str(run_of("headfirst")).replace("full_", "full+rotation_"))
    parent = folder.train(turned).checkpoint
    run = Run.parse(f"{turned}/full_adam-lr0.01-b16_e1_keep")
    words = (
        r"model headfirst: 'network\.head\..*' has another shape with 2 .* the head last: facts="
    )
    with pytest.raises(UserError, match=words):
        folder.train(run, parent=parent)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            "closure",
            r"optimiser closure: the step of LBFGS asks for a closure.*OptimiserFacts\(passes=2\)",
        ),
        (
            "deaf",
            "optimiser deaf: declares passes=2 among its facts, and the step of Deaf takes no",
        ),
        ("viewing", "optimiser viewing: SGD trains a tensor that is no parameter of the network"),
        ("failing", r"optimiser failing: .*KeyError.*; correct .*own_members\.py, line \d+: "),
    ],
)
def test_a_rule_that_fails_names_its_place(folder: Folder, rule: str, words: str):
    with pytest.raises(UserError, match=words):
        folder.train(run_of(rule=f"{rule}-lr0.1"))


def test_the_log_holds_the_lines_of_its_own_code_alone(folder: Folder):
    lines: list[str] = []
    with pytest.raises(UserError, match="optimiser failing"):
        folder.train(run_of(rule="failing-lr0.1"), log=lines.append)
    files = re.findall(r'File ".*/(\S+)", line \d+, in (\w+)', "\n".join(lines))
    assert files == [("own_members.py", "step"), ("own_members.py", "change")]
    assert 'parameter.sub_(group["rate"]' in lines[-1]


@pytest.mark.parametrize("schedule", ["-drop1", "-warm1", "-cosine"])
def test_a_rule_whose_rate_cannot_follow_a_schedule_is_refused(folder: Folder, schedule: str):
    run = str(run_of(rule="rateless-lr0.1"))
    folder.train(Run.parse(run), "constant")
    with pytest.raises(UserError, match=f"{schedule}' has a schedule, and Rateless has no "):
        folder.train(Run.parse(run.replace("-b16", f"-b16{schedule}")))


def test_a_start_that_fails_names_its_place(folder: Folder):
    parent = folder.train(run_of()).checkpoint
    run = run_of(then="/full_adam-lr0.01-b16_e1_trip")
    with pytest.raises(UserError, match=r"start trip: .*IndexError.*own_members\.py, line \d+: "):
        folder.train(run, parent=parent)


def test_of_several_words_of_one_file_the_one_that_failed_is_named(folder: Folder):
    rule = "counter-lr0.01"
    parent = folder.train(run_of(rule=rule)).checkpoint
    run = run_of(rule=rule, then=f"/full_{rule}-b16_e1_trip")
    with pytest.raises(UserError, match="start trip: "):
        folder.train(run, parent=parent)


def test_other_errors_are_left_as_they_are(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    def broken(*arguments):
        raise RuntimeError("of the library")

    monkeypatch.setattr(loop, "add_batch", broken)
    with pytest.raises(RuntimeError, match=r"^of the library$"):
        folder.train(run_of())


# Batches that are too small


@pytest.mark.parametrize("pixels", [1, 6])
def test_one_example_a_batch_with_normalisation_says_what_to_do(tmp_path, pixels: int):
    folder = Folder(tmp_path)
    data = tiny_data()
    small = {
        name: np.ascontiguousarray(getattr(data, name)[..., :pixels, :pixels])
        for name in ("train_images", "test_images")
    }
    storage.write(replace(data, **small), "digits-clutter", folder.train_file, folder.test_file)
    run = Run.parse("digits-clutter/resnet-d1w2/seed0/full_adam-lr0.01-b1_e1_init")
    words = "with batches of 1 on digits-clutter, a layer of normalisation of resnet-d1w2 is left a"
    with pytest.raises(UserError, match=words):
        folder.train(run)
    metrics_file = folder.outputs(run).metrics
    assert not metrics_file.exists()
    larger = Run.parse(str(run).replace("b1_", "b2_"))
    assert metrics.read(folder.train(larger).metrics)[0].num_rows == 1
