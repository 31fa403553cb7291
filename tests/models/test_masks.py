"""Masks: exact levels of pruning, random masks, and masks on disk."""

import json
import math
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

import pytest
import torch
from damage import flipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import nn
from weights import (
    RESNET20,
    built,
    chance,
    count,
    inside,
    layers,
    normal,
    pruned_layers,
    reordered,
    same,
    seeds,
    shares,
)

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.models import masks
from plasticity.models.masks import Mask
from plasticity.runs import models
from plasticity.runs.provenance import Code


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On networks this small several threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# What is prunable


def test_convolutions_and_linear_layers_are_prunable_and_nothing_else():
    network = built()
    found = masks.prunable(network)
    parameters = dict(network.named_parameters())
    assert list(found) == [name for name, value in parameters.items() if value.dim() > 1]
    assert "numbered.5.bias" in parameters


def test_a_layer_alone_has_its_weight():
    assert list(masks.prunable(nn.Linear(2, 3))) == ["weight"]


def test_what_is_prunable_is_a_view():
    network = built()
    for value in masks.prunable(network).values():
        value.fill_(7)
    assert all((p == 7).all() for p in network.parameters() if p.dim() > 1)
    assert all(p.requires_grad for p in network.parameters())


def test_weights_are_given_in_place_and_in_the_memory_order_of_the_network():
    network = built().to(memory_format=torch.channels_last)
    before = [(id(p), p.stride()) for p in network.parameters()]
    weights = {n: v + 1 for n, v in built(1).state_dict().items() if n in masks.prunable(network)}
    kept = chance(weights)
    masks.assign(network, weights, kept)
    for name, value in masks.prunable(network).items():
        assert torch.equal(value, torch.where(kept[name], weights[name], 0.0))
    assert [(id(p), p.stride()) for p in network.parameters()] == before


# Pruning


def test_the_real_network_has_as_many_prunable_weights_as_the_paper_s():
    assert sum(math.prod(shape) for shape in RESNET20) == 270_896


def test_fifteen_levels_have_exact_densities_and_are_nested():
    weights, kept, expected = normal(RESNET20), None, 270_896
    for level in range(1, 16):
        before, kept = kept, masks.prune(weights, kept, 0.2)
        removed = (Decimal("0.2") * expected).to_integral_value(ROUND_HALF_UP)
        expected -= int(removed)
        assert count(kept) == expected
        assert count(kept) / 270_896 == pytest.approx(0.8**level, abs=1e-5)
        assert before is None or inside(kept, before)
    assert count(kept) / 270_896 == pytest.approx(0.035, abs=2e-4)


@given(layers(), shares, st.integers(1, 15))
def test_any_levels_are_exact_and_nested_and_keep_the_largest(weights, share, levels):
    kept = {name: torch.ones_like(value, dtype=torch.bool) for name, value in weights.items()}
    for _ in range(levels):
        survivors = count(kept)
        removed = (Decimal(str(share)) * survivors).to_integral_value(ROUND_HALF_UP)
        if removed == survivors:
            with pytest.raises(UserError, match="would leave none"):
                masks.prune(weights, kept, share)
            return
        before, kept = kept, masks.prune(weights, kept, share)
        assert count(kept) == survivors - removed
        assert inside(kept, before)
        assert [mask.shape for mask in kept.values()] == [v.shape for v in weights.values()]
        gone = [weights[n][before[n] & ~kept[n]].abs() for n in weights]
        left = [weights[n][kept[n]].abs() for n in weights]
        if removed:
            assert torch.cat(gone).max() <= torch.cat(left).min()


@pytest.mark.parametrize(
    ("survivors", "share", "removed"),
    [
        (5, 0.1, 1),  # exactly a half, which is rounded up
        (15, 0.1, 2),
        (25, 0.1, 3),
        (25, 0.58, 15),  # 14.5 exactly; in floating point 0.58 * 25 is less
        (100, 0.29, 29),
        (3, 0.1, 0),
        (1, 0.2, 0),
        (7, 1e-05, 0),
    ],
)
def test_the_number_removed_is_that_of_the_decimal(survivors, share, removed):
    kept = masks.prune({"w": torch.arange(1.0, survivors + 1)[None]}, None, share)
    assert count(kept) == survivors - removed


def test_of_equal_magnitudes_the_first_ones_go():
    weights = {"b": torch.tensor([[1.0, -1.0, 1.0]]), "a": torch.tensor([[-1.0, 1.0], [0.5, 2.0]])}
    kept = masks.prune(weights, None, 0.5)
    assert kept["b"].tolist() == [[False, False, False]]
    assert kept["a"].tolist() == [[True, True], [False, True]]
    assert list(kept) == ["b", "a"]


def test_the_layers_of_a_mask_are_found_by_name():
    weights = normal([(3, 4), (2, 5)])
    first = masks.prune(weights, None, 0.3)
    turned = dict(reversed(first.items()))
    assert same(masks.prune(weights, turned, 0.3), masks.prune(weights, first, 0.3))


def test_a_weight_that_was_pruned_stays_so_even_if_it_has_grown():
    weights = {"w": torch.tensor([[9.0, 1.0, 2.0, 3.0]])}
    kept = {"w": torch.tensor([[False, True, True, True]])}
    assert masks.prune(weights, kept, 0.34)["w"].tolist() == [[False, False, True, True]]


def test_pruning_heeds_the_index_and_not_the_place_in_memory():
    weights = {"w": torch.ones(2, 3, 2, 2), "v": torch.ones(3, 4)}
    kept = masks.prune(weights, None, 0.4)
    assert same(masks.prune(reordered(weights), None, 0.4), kept)
    assert same(
        masks.prune(reordered(weights), reordered(kept), 0.4), masks.prune(weights, kept, 0.4)
    )


def test_pruning_changes_neither_the_weights_nor_the_mask():
    weights = normal([(3, 4)])
    kept = masks.prune(weights, None, 0.5)
    before = {name: value.clone() for part in (weights, kept) for name, value in part.items()}
    masks.prune(weights, kept, 0.5)
    assert same(kept, before)


def test_nothing_left_is_refused():
    with pytest.raises(UserError, match=r"pruning 0.5 of the 1 weights .* would leave none; take"):
        masks.prune({"w": torch.ones(1, 1)}, None, 0.5)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"a": (2, 2)}, r"layer b: expected the shape \[3, 2\], found no such layer"),
        ({"a": (2, 2), "b": (2, 3)}, r"layer b: expected the shape \[3, 2\], found the shape \[2"),
        ({"a": (2, 2), "b": (3, 2), "c": (1,)}, "layer c: expected no such layer, found the shape"),
    ],
)
def test_a_mask_for_another_model_is_refused(kept, message):
    kept = {name: torch.ones(shape, dtype=torch.bool) for name, shape in kept.items()}
    weights = {"a": torch.ones(2, 2), "b": torch.ones(3, 2)}
    with pytest.raises(UserError, match=f"^a mask for another model: {message}"):
        masks.prune(weights, kept, 0.2)


# Random masks


@given(pruned_layers(), seeds)
def test_a_random_mask_has_as_many_in_each_layer(pruned, seed):
    _, kept = pruned
    drawn = masks.permuted(kept, torch_generator(seed))
    assert list(drawn) == list(kept)
    for name in kept:
        assert drawn[name].shape == kept[name].shape
        assert drawn[name].sum() == kept[name].sum()


def test_a_random_mask_is_elsewhere_and_uniform():
    kept = masks.prune(normal([(20, 50)]), None, 0.8)
    draws = [masks.permuted(kept, torch_generator(seed))["0.weight"] for seed in range(200)]
    assert not any(torch.equal(draw, kept["0.weight"]) for draw in draws)
    # 200 draws with a chance of 0.2 each: 40 +- 5.7 of every place.
    times = torch.stack(draws).sum(0).double()
    assert times.min() > 10
    assert times.max() < 75
    assert times.std() == pytest.approx(math.sqrt(200 * 0.2 * 0.8), rel=0.1)


def test_a_random_mask_depends_neither_on_the_order_of_the_layers_nor_on_that_in_memory():
    kept = chance(normal([(3, 4, 2, 2), (5, 6)]))
    drawn = masks.permuted(kept, torch_generator(0))
    turned = masks.permuted(dict(reversed(kept.items())), torch_generator(0))
    assert same(dict(reversed(turned.items())), drawn)
    assert same(masks.permuted(reordered(kept), torch_generator(0)), drawn)


# Masks on disk

ABOUT = {
    "run": "cifar10/resnet-d1w2/seed0/full_sgd-lr0.1_e160_init",
    "level": 2,
    "fraction": 0.2,
    "state": "0123456789abcdef",
    "code": Code({"models/masks.py": "fedcba9876543210"}),
    "precision": "float32",
}


@pytest.fixture(scope="module")
def mask():
    weights = masks.prunable(built())
    first = masks.prune(weights, None, 0.2)
    return Mask(masks.prune(weights, first, 0.2), **ABOUT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("masks")


@pytest.fixture(scope="module")
def good(folder, mask):
    """The bytes of a good file."""
    masks.write_mask(folder / "good.safetensors", mask)
    return (folder / "good.safetensors").read_bytes()


def equal(first, second):
    return same(first.layers, second.layers) and all(
        getattr(first, name) == getattr(second, name) for name in ABOUT
    )


def refusal(path):
    with pytest.raises(UserError) as refused:
        masks.read_mask(path)
    assert str(refused.value).startswith(f"{path}: ")
    return str(refused.value)


def test_a_mask_reads_back_in_the_order_of_the_network(folder, good, mask):
    found = masks.read_mask(folder / "good.safetensors")
    assert equal(found, mask)
    assert list(found.layers) == list(masks.prunable(built()))
    assert {value.dtype for value in found.layers.values()} == {torch.bool}


def test_a_mask_counts_itself(mask):
    sizes = {name: value.numel() for name, value in masks.prunable(built()).items()}
    assert mask.total == sum(sizes.values())
    assert mask.survivors == count(mask.layers)
    assert mask.density == mask.survivors / mask.total
    assert mask.density == pytest.approx(0.64, abs=1e-3)
    assert mask.densities == {n: int(m.sum()) / sizes[n] for n, m in mask.layers.items()}


def test_a_file_explains_itself(folder, good, mask):
    with safe_open(folder / "good.safetensors", framework="pt") as file:
        assert list(file.metadata()) == ["plasticity"]
        about = json.loads(file.metadata()["plasticity"])
        assert about.pop("checksum")
        assert {file.get_tensor(name).dtype for name in mask.layers} == {torch.uint8}
    assert about == {
        **{name: value for name, value in ABOUT.items() if name != "fraction"},
        "share": 0.2,
        "diverged_step": None,
        "code": mask.code.digest,
        "components": mask.code.components,
        "total": mask.total,
        "survivors": mask.survivors,
        "density": mask.density,
        "densities": mask.densities,
    }


def test_the_same_mask_gives_the_same_bytes(tmp_path, good, mask):
    masks.write_mask(tmp_path / "again", replace(mask, layers=reordered(mask.layers)))
    assert (tmp_path / "again").read_bytes() == good


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_byte_anywhere_is_named(folder, good, mask, data):
    path = folder / "damaged.safetensors"
    path.write_bytes(flipped(data, good))
    try:
        found = masks.read_mask(path)
    except UserError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 (either is right)
    else:
        assert equal(found, mask)  # white space between two keys of the header


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, 3000, -1000, -1])
def test_a_truncated_file_is_named(tmp_path, good, size):
    (tmp_path / "mask").write_bytes(good[:size])
    message = refusal(tmp_path / "mask")
    assert "not a readable mask" in message
    assert "delete it and run again to prune anew" in message


def test_another_level_in_the_header_is_damage(tmp_path, good):
    text = rb"\"level\": 2"
    assert good.count(text) == 1
    (tmp_path / "mask").write_bytes(good.replace(text, rb"\"level\": 3"))
    assert "damaged, its checksum is wrong; delete it and run again" in refusal(tmp_path / "mask")


@pytest.mark.parametrize("content", [b"text", b"\x80\x04\x95pickle", b"PK\x03\x04" + b"\0" * 50])
def test_a_file_of_another_kind_is_named(tmp_path, content):
    (tmp_path / "mask").write_bytes(content)
    assert "not a readable mask" in refusal(tmp_path / "mask")


def test_a_missing_file_is_named(tmp_path):
    assert "not a readable mask" in refusal(tmp_path / "none.safetensors")


def test_a_prepared_data_set_is_no_mask(prepared):
    assert "not a readable mask" in refusal(prepared["train"])


def test_a_full_disk_leaves_what_was_there(tmp_path, good, mask, full_disk):
    path = tmp_path / "mask"
    path.write_bytes(good)
    with full_disk(1000), pytest.raises(UserError, match="cannot be written"):
        masks.write_mask(path, replace(mask, level=3))
    assert path.read_bytes() == good


def test_a_mask_fits_its_network(mask):
    mask.require_fits("place/mask", built(seed=1))


def test_a_mask_of_another_network_is_named(mask):
    with pytest.raises(UserError) as refused:
        mask.require_fits("place/mask", models.parse("resnet-d1w4")(3, 3, 12, 12))
    assert str(refused.value) == (
        "place/mask: a mask for another model: layer numbered.0.convolution.weight: expected the "
        "shape [4, 3, 3, 3], found the shape [2, 3, 3, 3]; "
        "put the right file there, or keep both and run in another folder (--directory)"
    )
    with pytest.raises(UserError, match=r"expected the shape .*, found no such layer; put the"):
        mask.require_fits("place/mask", models.parse("resnet-d2w2")(3, 3, 12, 12))
