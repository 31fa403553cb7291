"""Training of sub-networks: masks hold at every step, and levels go on from the right state."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from chain import Chain
from tiny import CODE, HARDWARE, equal

from plasticity.core.errors import UserError
from plasticity.models import masks
from plasticity.runs import Run, SpellingError, metrics, states_of
from plasticity.training import checkpoint, loop
from plasticity.training.prune import make_mask
from plasticity.training.schedule import set_learning_rate
from plasticity.training.stages import Inputs
from plasticity.training.train import train_stage

PLACE = "digits-clutter/resnet20-w2/seed0"
SGD = "sgd-lr0.1-m0.9-wd0.01-b16"
DENSE = f"{PLACE}/full_{SGD}_e3_init"
STATE = f"{PLACE}/full_{SGD}_i6_init"
START = f"{PLACE}/full_{SGD}_e3_ticket{{}}-p0.5"
REWOUND = f"{STATE}/full_{SGD}_till3_ticket{{}}-p0.5"


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(path).network


# The chain of levels


def test_levels_are_pruned_one_after_the_other_and_share_the_dense_run():
    first, second = (Run.parse(REWOUND.format(level)) for level in (1, 2))
    assert str(first.pruned_from) == DENSE
    assert str(Run.parse(START.format(1)).pruned_from) == DENSE
    assert second.pruned_from == first
    assert states_of([second]) == {Run.parse(STATE), Run.parse(DENSE), first}


def test_a_perturbed_ticket_has_the_mask_of_the_plain_one():
    plain = Run.parse(REWOUND.format(2))
    for words in ("-noise2", "-shuffle-layer", "-signs-k-magnitudes-init", "-random"):
        other = Run.parse(REWOUND.format(f"2{words}"))
        assert (other.ticket, other.pruned_from) == (plain, plain.pruned_from)


def test_a_ticket_of_a_state_of_another_task_is_pruned_after_its_own_dense_run():
    run = Run.parse(f"{PLACE}/full+rotation_{SGD}_e2_init/full_{SGD}_e3_ticket1")
    assert str(run.pruned_from) == f"{PLACE}/full+rotation_{SGD}_e2_init/full_{SGD}_e3_keep"


def test_a_ticket_has_no_rungs():
    """Its mask depends on how long each level was trained."""
    assert Run.parse(START.format(1).replace("e3", "e30")).rung is None


# The clock


def test_a_stage_goes_on_where_the_one_before_stood(chain: Chain):
    """Same batches, same rates, same bits, but for the momentum, which begins anew."""
    plain = SGD.replace("-m0.9", "")
    whole = Run.parse(f"{PLACE}/full_{plain}-drop1x2_e3_init")
    parts = Run.parse(f"{PLACE}/full_{plain}-drop1x2_i6_init/full_{plain}-drop1x2_till3_keep")
    one, other = tensors(chain.state(whole)), tensors(chain.state(parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows, about = metrics.read(chain.folder.outputs(parts).metrics)
    assert rows["epoch"].to_pylist() == [2, 3]
    assert rows["iteration"].to_pylist() == [8, 12]
    assert (about["begins"], about["ends"]) == (6, 12)


def test_steps_end_within_an_epoch(chain: Chain):
    chain.state(Run.parse(STATE))
    rows, _ = metrics.read(chain.folder.outputs(Run.parse(STATE)).metrics)
    assert (rows["epoch"].to_pylist(), rows["iteration"].to_pylist()) == ([1, 2], [4, 6])


def test_the_learning_rate_drops_after_the_epochs_that_are_named(chain: Chain):
    stage = chain.prepared(Run.parse(f"{PLACE}/full_{SGD}-drop1x2_e3_init"))
    rates = []
    for done in range(12):
        stage.batches(done)
        (group,) = stage.train_state.optimiser.param_groups
        rates.append(group["lr"])
    # To the bit: rounded once, however many drops there are.
    assert rates == [0.1] * 4 + [10.0**-1 * 0.1] * 4 + [10.0**-2 * 0.1] * 4


def test_a_stage_that_goes_on_begins_with_the_rate_after_the_drops_before_it(chain: Chain):
    path = f"{PLACE}/full_{SGD}-drop1x2_e2_init/full_{SGD}-drop1x2_till3_keep"
    optimiser = chain.prepared(Run.parse(path)).train_state.optimiser
    set_learning_rate(optimiser, 3, (1, 2))
    assert optimiser.param_groups[0]["lr"] == 10.0**-2 * 0.1


def test_a_rate_that_a_rule_changes_is_its_own():
    """The engine divides what it finds, at the drop and nowhere else."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    (group,) = optimiser.param_groups
    rates = []
    for epoch in (1, 2, 2, 3, 4):
        set_learning_rate(optimiser, epoch, (2,))
        group["lr"] *= 0.5
        rates.append(group["lr"])
    assert rates == pytest.approx([0.05, 0.025, 0.0125, 0.000625, 0.0003125])
    untouched = dict(group)
    set_learning_rate(optimiser, 5, (2,))
    assert group == untouched


@pytest.mark.parametrize(("updates", "words"), [(12, "has made 12 already"), (40, "has made 40")])
def test_a_state_beyond_the_end_is_refused(chain: Chain, updates: int, words: str):
    run = Run.parse(f"{PLACE}/full_{SGD}_i{updates}_init/full_{SGD}_till3_keep")
    with pytest.raises(UserError, match=words):
        chain.state(run)


def test_epochs_beyond_the_end_are_refused_when_the_path_is_read():
    with pytest.raises(SpellingError, match="has lasted till epoch 5 already"):
        Run.parse(f"{PLACE}/full_{SGD}_e5_init/full_{SGD}_till5_keep")


# Masks


@pytest.mark.parametrize("start", ["2", "2-noise1", "2-shuffle-global", "2-random"])
@pytest.mark.parametrize("rule", [SGD, "adam-lr0.01-wd0.01-b16", "rmsprop-lr0.01-wd0.01-b16"])
def test_pruned_weights_are_zero_at_every_step(chain: Chain, start: str, rule: str):
    """With momentum and weight decay, and nothing of them in the state of the optimiser."""
    stage = chain.prepared(Run.parse(REWOUND.format(start).replace(SGD, rule)))
    weights = [stage.train_state.network.get_parameter(name) for name in stage.initial_state.mask]
    pruned = [~kept for kept in stage.initial_state.mask.values()]
    assert sum(int(mask.sum()) for mask in pruned) > 0
    batches = stage.order.rest_of_epoch(stage.steps.begin, stage.device)
    part = loop.EpochProgress.begin(stage.device)
    steps = 0
    while not loop.train_on(stage.train_state, stage.train, batches, part, lambda: True):
        steps += 1
        for weight, mask in zip(weights, pruned, strict=True):
            assert (weight[mask] == 0).all()
            for value in stage.train_state.optimiser.state[weight].values():
                if value.shape == weight.shape:
                    assert (value[mask] == 0).all()
    assert steps == 2  # what is left of the second epoch


def test_biases_and_normalisation_are_left_alone(chain: Chain):
    parent, stage = Run.parse(STATE), chain.prepared(Run.parse(REWOUND.format(2)))
    before = tensors(chain.state(parent))
    for name, value in stage.train_state.network.state_dict().items():
        if name not in stage.initial_state.mask:
            assert torch.equal(value, before[name]), name


def test_a_level_begins_at_the_state_it_is_set_back_to(chain: Chain):
    """Bit for bit where weights are kept; k = 0 is the initialisation of the dense run."""
    origins = {REWOUND: tensors(chain.state(Run.parse(STATE)))}
    dense = chain.prepared(Run.parse(DENSE))
    origins[START] = {k: v.clone() for k, v in dense.train_state.network.state_dict().items()}
    for path, origin in origins.items():
        for level in (1, 2):
            stage = chain.prepared(Run.parse(path.format(level)))
            state = stage.train_state.network.state_dict()
            for name, kept in stage.initial_state.mask.items():
                assert torch.equal(state[name], origin[name] * kept), (path, level, name)
            assert stage.initial_state.density == pytest.approx(0.5**level, abs=0.002)
            assert stage.initial_state.changed == 0


def test_masks_are_nested_and_exact(chain: Chain):
    levels = [masks.read_mask(chain.mask(Run.parse(REWOUND.format(n)))) for n in (1, 2, 3)]
    total = levels[0].total
    for level, mask in enumerate(levels, start=1):
        left = total
        for _ in range(level):
            left -= (left + 1) // 2  # half of it, rounded up
        assert mask.survivors == left
    for outer, inner in pairwise(levels):
        for name in outer.layers:
            assert not (inner.layers[name] & ~outer.layers[name]).any()


def test_the_same_ticket_twice_gives_the_same_bits_and_a_killed_one_too(chain: Chain):
    run = Run.parse(REWOUND.format(1))
    whole = checkpoint.load(chain.state(run))

    def end(line: str) -> None:
        if "epoch 2/3" in line:
            raise KeyboardInterrupt

    given = {"parent": chain.state(run.parent), "mask": chain.mask(run)}
    with pytest.raises(KeyboardInterrupt):
        chain.folder.train(run, "killed", log=end, resume_every=0.0, **given)
    again = chain.folder.train(run, "killed", **given)
    assert equal(whole, checkpoint.load(again.checkpoint))
    assert all(torch.equal(whole.mask[name], masks.read_mask(given["mask"]).layers[name])
               for name in whole.mask)  # fmt: skip


def test_a_later_stage_stays_sparse(chain: Chain):
    run = Run.parse(f"{START.format(1)}/full_{SGD}_e1_keep")
    state = checkpoint.load(chain.state(run))
    for name, kept in state.mask.items():
        assert (state.network[name][~kept] == 0).all()
        assert (state.network[name][kept] != 0).any()


# Other tasks


def test_the_head_of_another_task_is_gone(chain: Chain):
    """That of the main task is the one of a run from scratch, everything else is handed on."""
    first = Run.parse(f"{PLACE}/full+rotation_{SGD}_e1_init")
    before = tensors(chain.state(first))
    stage = chain.prepared(Run.parse(f"{first}/full_{SGD}_e1_keep"))
    cold = chain.prepared(Run.parse(f"{PLACE}/full_{SGD}_e1_init")).train_state.network.state_dict()
    head = stage.train_state.network.head
    assert {before[name].shape[0] for name in head} == {4}
    for name, value in stage.train_state.network.state_dict().items():
        assert torch.equal(value, cold[name] if name in head else before[name]), name


def test_a_sub_network_is_rewound_and_pretrained_on_another_task(chain: Chain):
    """A head for other labels is whole; that of the main task is pruned as before."""
    ticket = Run.parse(START.format(2))
    middle = Run.parse(f"{ticket}/full+rotation_{SGD}_e1_rewind")
    stage = chain.prepared(middle)
    mask = masks.read_mask(chain.mask(ticket)).layers
    initial = chain.prepared(Run.parse(f"{PLACE}/full+rotation_{SGD}_e1_init")).train_state.network
    weights = masks.prunable(stage.train_state.network)
    for name, start in masks.prunable(initial).items():
        kept = torch.ones_like(start, dtype=torch.bool) if name in initial.head else mask[name]
        assert torch.equal(weights[name], start * kept), name
    last = chain.prepared(Run.parse(f"{middle}/full_{SGD}_e1_keep"))
    assert all(torch.equal(last.initial_state.mask[name], mask[name]) for name in mask)


def test_random_labels_are_the_same_in_every_epoch_and_in_no_other_seed(chain: Chain):
    path = "{}/full+randomlabels_{}_e{}_init"
    one, again, other = (
        chain.prepared(Run.parse(path.format(place, SGD, epochs))).train.labels
        for place, epochs in ((PLACE, 1), (PLACE, 3), (PLACE.replace("seed0", "seed1"), 1))
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    true = chain.prepared(Run.parse(f"{PLACE}/full_{SGD}_e1_init"))
    assert not torch.equal(one, true.train.labels)
    stage = chain.prepared(Run.parse(path.format(PLACE, SGD, 1)))
    assert torch.equal(stage.test.labels, true.test.labels)


def test_augmentation_comes_again_after_a_kill(chain: Chain):
    run = Run.parse(f"{PLACE}/full+augment_{SGD}_e3_init")
    whole = checkpoint.load(chain.state(run))

    def end(line: str) -> None:
        if "epoch 2/3" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chain.folder.train(run, "killed", log=end, resume_every=0.0)
    assert equal(whole, checkpoint.load(chain.folder.train(run, "killed").checkpoint))
    plain = checkpoint.load(chain.state(Run.parse(DENSE)))
    assert not torch.equal(
        whole.network["numbered.0.convolution.weight"],
        plain.network["numbered.0.convolution.weight"],
    )


def test_another_order_is_another_order_of_the_same_examples(chain: Chain):
    usual = chain.prepared(Run.parse(DENSE))
    run = Run.parse(DENSE).reordered_run
    assert str(run) == DENSE.replace("full_", "full+order1_")
    other = chain.prepared(run)
    one, two = (
        torch.cat([b.indices for b in stage.order.rest_of_epoch(0, stage.device)])
        for stage in (usual, other)
    )
    assert not torch.equal(one, two)
    assert torch.equal(one.sort().values, two.sort().values)


# What does not go together


def test_a_mask_of_another_run_is_refused(chain: Chain):
    run = Run.parse(REWOUND.format(2))
    wrong = chain.mask(Run.parse(REWOUND.format(1)))
    parent = chain.state(run.parent)
    with pytest.raises(UserError, match="pruned after another run"):
        chain.folder.train(run, parent=parent, mask=wrong)


def test_a_missing_mask_is_named(chain: Chain):
    run = Run.parse(START.format(1))
    with pytest.raises(UserError, match="its mask is missing"):
        chain.folder.train(run)


def test_a_mask_for_another_model_is_refused(chain: Chain, tmp_path: Path):
    run = Run.parse(START.format(1))
    mask = masks.read_mask(chain.mask(run))
    name = next(iter(mask.layers))
    masks.write_mask(
        tmp_path / "wrong", replace(mask, layers={**mask.layers, name: torch.ones(3).bool()})
    )
    with pytest.raises(UserError, match=f"a mask for another model: layer {name}"):
        chain.folder.train(run, mask=tmp_path / "wrong")


def test_levels_that_prune_nothing_or_everything_are_refused(chain: Chain):
    last = Run.parse(START.format(1).replace("p0.5", "p0.99999"))
    with pytest.raises(UserError, match="would leave none"):
        chain.mask(last)
    with pytest.raises(UserError, match="is less than one"):
        chain.mask(Run.parse(START.format(1).replace("p0.5", "p0.00001")))


def test_a_mask_of_weights_that_are_no_numbers_has_diverged(chain: Chain, tmp_path: Path):
    """By a version that did not record it; as many weights are left as otherwise."""
    run = Run.parse(START.format(1))
    state = checkpoint.load(chain.state(run.pruned_from))
    name = next(iter(masks.prunable(run.model(2, 1, 8, 8))))
    broken = replace(state, network={**state.network, name: state.network[name] * float("nan")})
    checkpoint.save(tmp_path / "broken", broken)
    make_mask(run, tmp_path / "broken", tmp_path / "m", code=CODE, precision="float32", log=print)
    found = masks.read_mask(tmp_path / "m")
    assert (found.diverged, found.density) == (12, 0.5)
    assert masks.read_mask(chain.mask(run)).diverged is None


def test_a_rewind_without_a_ticket_is_refused():
    with pytest.raises(SpellingError, match="no stage before it starts with one"):
        Run.parse(f"{DENSE}/full_{SGD}_e1_rewind")


def test_a_resume_file_of_another_mask_is_refused(chain: Chain):
    run = Run.parse(START.format(1))
    outputs = chain.folder.outputs(run)

    def end(line: str) -> None:
        raise KeyboardInterrupt

    mask = chain.mask(run)
    with pytest.raises(KeyboardInterrupt):
        chain.folder.train(run, log=end, resume_every=0.0, mask=mask)
    assert outputs.resume.exists()
    found = masks.read_mask(mask)
    kept = {name: value.flip(0) for name, value in found.layers.items()}
    masks.write_mask(mask, replace(found, layers=kept))
    with pytest.raises(UserError, match="trained with other weights pruned"):
        chain.folder.train(run, mask=mask)


def test_all_of_it_is_trained_by_the_job_itself(chain: Chain):
    """As `train_stage` is called by the script: with the mask among the inputs."""
    run = Run.parse(START.format(1))
    folder = chain.folder
    inputs = Inputs(folder.train_file, folder.test_file, folder.split(run), mask=chain.mask(run))
    train_stage(run, inputs, folder.outputs(run), HARDWARE, CODE, print)
    about = metrics.about(folder.outputs(run).metrics)
    assert about["density"] == pytest.approx(0.5, abs=0.001)


def test_the_gradients_of_removed_weights_are_zeros_after_a_step():
    """So quantities of the gradient, which are taken then, count them as 0."""
    network = torch.nn.Linear(3, 2, bias=False)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.5, weight_decay=0.1)
    kept = ((network.weight, torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])),)
    state = loop.TrainState(network, optimiser, "float32", kept)
    images, labels = torch.ones(4, 3), torch.zeros(4, dtype=torch.int64)
    state.step()(state.backward(images, labels))
    assert torch.equal(network.weight.grad != 0, kept[0][1] == 1)
