"""The state of a stage on disk: bit for bit, and never a damaged or foreign one."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from damage import flipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch.nn.functional import cross_entropy

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.models import generators
from plasticity.models.network import initialise
from plasticity.runs import Run, models, optimisers
from plasticity.runs.metrics import EpochMetrics
from plasticity.training import checkpoint
from plasticity.training.checkpoint import DIFFERENCES, Checkpoint, Identity

IDENTITY = Identity(
    run="digits-clutter/resnet-d1w2/seed0/full_adam-lr0.01_e2_init",
    code="0123456789abcdef",
    data="fedcba9876543210",
    split="half of it",
    parent="",
    mask="",
    precision="float32",
    device="cpu",
    threads="1",
    execution="eager",
    torch=torch.__version__,
)
HISTORY = [
    EpochMetrics(1, 390, 1.1, 0.3, 1.2, 0.25, 0.5),
    EpochMetrics(2, 780, 0.1 + 0.2, 1 / 3, 1e-300, 1.0, 12.5),
]
OPTIMISERS = [
    "adam-lr0.01",
    "adam-lr0.01-wd0.1",
    "rmsprop-lr0.01",
    "sgd-lr0.1",
    "sgd-lr0.1-m0.9",
    "sgd-lr0.1-m0.9-wd0.001",
]


def built(spelling="adam-lr0.01", seed=0):
    """A network in channels-last order, as in training, and its optimiser."""
    generators.seed(Run.parse(IDENTITY.run), torch.device("cpu"))
    network = models.parse("resnet-d1w2")(3, 3, 12, 12)
    initialise(network, torch_generator(seed, "initialisation"))
    network = network.to(memory_format=torch.channels_last)
    return network, optimisers.parse(spelling)(network.parameters())


def train(network, optimiser, steps):
    network.train()
    for step in steps:
        images = torch.randn(6, 3, 8, 8, generator=torch_generator(0, "images", step))
        images = images.to(memory_format=torch.channels_last)
        loss = cross_entropy(network(images), torch.tensor([0, 1, 2, 0, 1, 2]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def trained(spelling="adam-lr0.01"):
    network, optimiser = built(spelling)
    train(network, optimiser, range(3))
    return checkpoint.capture(IDENTITY, network, optimiser, HISTORY)


def same(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether two states have the same bits."""
    return (first.identity, first.history) == (second.identity, second.history) and all(
        mine.keys() == theirs.keys()
        and all(mine[k].dtype == theirs[k].dtype and torch.equal(mine[k], theirs[k]) for k in mine)
        for mine, theirs in (
            (first.network, second.network),
            (first.optimiser, second.optimiser),
        )
    )


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On networks this small several threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def state():
    return trained()


@pytest.fixture(scope="module")
def good(folder, state):
    """The bytes of a good file."""
    checkpoint.save(folder / "good.safetensors", state)
    return (folder / "good.safetensors").read_bytes()


@pytest.mark.parametrize("spelling", OPTIMISERS)
def test_a_state_reads_back_bit_for_bit(tmp_path, spelling):
    state = trained(spelling)
    checkpoint.save(tmp_path / "state", state)
    assert same(checkpoint.load(tmp_path / "state"), state)


@pytest.mark.parametrize("spelling", OPTIMISERS)
def test_training_goes_on_as_if_it_had_never_stopped(tmp_path, spelling):
    network, optimiser = built(spelling)
    train(network, optimiser, range(3))
    checkpoint.save(tmp_path / "state", checkpoint.capture(IDENTITY, network, optimiser, HISTORY))
    train(network, optimiser, range(3, 6))

    other, its_optimiser = built(spelling, seed=1)
    checkpoint.restore(checkpoint.load(tmp_path / "state"), other, its_optimiser)
    train(other, its_optimiser, range(3, 6))

    assert same(
        checkpoint.capture(IDENTITY, network, optimiser, HISTORY),
        checkpoint.capture(IDENTITY, other, its_optimiser, HISTORY),
    )


def test_a_restored_state_is_in_the_memory_order_of_the_network(state):
    network, optimiser = built(seed=1)
    checkpoint.restore(state, network, optimiser)
    for parameter in network.parameters():
        moment = optimiser.state[parameter]["exp_avg"]
        assert moment.stride() == parameter.stride()
        if parameter.dim() == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last)


def test_restoring_copies():
    """Training goes on from a restored state without moving the state itself."""
    state, kept = trained(), trained()
    network, optimiser = built()
    checkpoint.restore(state, network, optimiser)
    train(network, optimiser, range(1))
    moved = [
        name
        for part in ("network", "optimiser")
        for name, value in getattr(state, part).items()
        if not torch.equal(value, getattr(kept, part)[name])
    ]
    assert moved == []


def test_capturing_copies():
    network, optimiser = built()
    train(network, optimiser, range(1))
    state = checkpoint.capture(IDENTITY, network, optimiser, HISTORY)
    before = {name: value.clone() for name, value in state.optimiser.items()}
    train(network, optimiser, range(1, 2))
    assert all(torch.equal(state.optimiser[name], before[name]) for name in before)


def test_an_optimiser_without_state_is_saved_too(tmp_path):
    network, optimiser = built("sgd-lr0.1")
    checkpoint.save(tmp_path / "s", checkpoint.capture(IDENTITY, network, optimiser, HISTORY))
    state = checkpoint.load(tmp_path / "s")
    assert state.optimiser == {}
    assert state.epoch == 2


def test_the_same_state_gives_the_same_bytes(tmp_path, good):
    checkpoint.save(tmp_path / "again", trained())
    assert (tmp_path / "again").read_bytes() == good


def test_the_epoch_is_that_of_the_history(state):
    assert state.epoch == 2


def test_a_file_explains_itself(folder, good):
    with safe_open(folder / "good.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["plasticity"])
    assert header["identity"] == asdict(IDENTITY)


# Damage


def refusal(path):
    with pytest.raises(UserError) as refused:
        checkpoint.load(path)
    assert str(refused.value).startswith(f"{path}: ")
    return str(refused.value)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_byte_anywhere_is_named(folder, good, state, data):
    path = folder / "damaged.safetensors"
    path.write_bytes(flipped(data, good))
    try:
        loaded = checkpoint.load(path)
    except UserError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 (either is right)
    else:
        assert same(loaded, state)  # white space between two keys of the header


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, 10_000, -1000, -1])
def test_a_truncated_file_is_named(tmp_path, good, size):
    (tmp_path / "state").write_bytes(good[:size])
    assert "not a readable checkpoint" in refusal(tmp_path / "state")


def test_a_longer_file_is_named(tmp_path, good):
    (tmp_path / "state").write_bytes(good + b"\0")
    refusal(tmp_path / "state")


@pytest.mark.parametrize("content", [b"text", b"\x80\x04\x95pickle", b"PK\x03\x04" + b"\0" * 50])
def test_a_file_of_another_kind_is_named(tmp_path, content):
    (tmp_path / "state").write_bytes(content)
    message = refusal(tmp_path / "state")
    assert "delete it and run again: Snakemake trains it anew" in message


def test_a_missing_file_is_named(tmp_path):
    assert "not a readable checkpoint" in refusal(tmp_path / "none.safetensors")


def test_a_prepared_data_set_is_no_checkpoint(prepared):
    assert "not a readable checkpoint" in refusal(prepared["train"])


def test_another_identity_in_the_header_is_damage(tmp_path, good):
    assert good.count(b"seed0") == 1
    (tmp_path / "state").write_bytes(good.replace(b"seed0", b"seed1"))
    assert "damaged, its checksum is wrong" in refusal(tmp_path / "state")


def test_a_full_disk_leaves_what_was_there(tmp_path, good, state, full_disk):
    path = tmp_path / "state"
    path.write_bytes(good)
    with full_disk(1000), pytest.raises(UserError, match="cannot be written") as refused:
        checkpoint.save(path, replace(state, history=HISTORY[:1]))
    assert str(refused.value).startswith(f"{path}: ")
    assert path.read_bytes() == good


# Foreign states


def test_the_expected_identity_passes(state):
    checkpoint.require("state", state, IDENTITY.facts)
    checkpoint.require("state", state, {"run": IDENTITY.run})
    checkpoint.require("state", state, {})


@pytest.mark.parametrize("name", list(IDENTITY.facts))
def test_a_foreign_identity_is_refused_by_field(state, name):
    with pytest.raises(UserError) as refused:
        checkpoint.require("place/state", state, {**IDENTITY.facts, name: "expected-value"})
    message = str(refused.value)
    assert message.startswith(f"place/state: {DIFFERENCES[name]} ")
    assert f"({getattr(IDENTITY, name)}, expected expected-value)" in message
    assert "not continued from" in message
    assert message.endswith(
        "; put the right file there, or keep both and run in another folder (--directory)"
    )


def test_every_field_has_its_own_words():
    assert set(DIFFERENCES) == set(IDENTITY.facts)
    assert len(set(DIFFERENCES.values())) == len(DIFFERENCES)
