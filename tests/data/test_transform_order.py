"""In which order transforms act, whatever their names, and on which images."""

from itertools import permutations

import pytest
import torch

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.data.apply import apply_to_batch, apply_to_data, drawn
from plasticity.runs import Registry, Term, TransformFacts, transforms
from plasticity.runs.combination import applied


def terms(*spellings):
    return tuple(transforms.parse(spelling) for spelling in spellings)


def images(n):
    generator = torch_generator(0, "images")
    return torch.randint(256, (n, 3, 8, 8), dtype=torch.uint8, generator=generator)


def test_turning_back_an_augmented_image_makes_it_upright():
    """Flipped after it was turned, the image of one label would be that of another."""
    some, true, both = images(64), torch.zeros(64, dtype=torch.int64), terms("rotation", "augment")
    draws = drawn(both, 1, 64, torch_generator(0))[0]
    found, labelled = apply_to_batch(both, some, true, draws)
    for image, given, turned, quarters in zip(some, draws, found, labelled, strict=True):
        upright = apply_to_batch(both[1:], image[None], true[:1], given[None, :3])[0][0]
        assert torch.equal(torch.rot90(turned, -int(quarters), (-2, -1)), upright)


def declared(*facts):
    """Transforms of other people, called a, b, and so on, with these `facts`."""
    registry = Registry("transform", TransformFacts, "")
    found = []
    for name, one in zip("abcdef", facts, strict=False):

        def function():
            """Nothing."""

        function.__name__ = name
        registry.member(name, facts=one)(function)
        found.append(registry._members[name])
    return [Term(member, ()) for member in found]


MIRRORED = TransformFacts("batches", draws=(2,), classes=2)
CUTOUT = TransformFacts("batches", draws=(8, 8))
CROP = TransformFacts("batches", draws=(9,), acts="geometry")
INVERTED = TransformFacts("images")


@pytest.mark.parametrize("given", list(permutations([MIRRORED, CUTOUT, CROP, INVERTED])))
def test_labels_are_read_off_last_whatever_a_transform_is_called(given):
    expected = [INVERTED, CROP, CUTOUT, MIRRORED]
    assert [term.facts for term in applied(declared(*given))] == expected


def test_a_misspelt_act_is_refused_where_it_is_declared():
    with pytest.raises(ValueError, match="acts: got 'colour', expected one of"):
        TransformFacts("images", acts="colour")


@pytest.mark.parametrize("test", [False, True])
def test_images_that_are_not_square_are_not_turned(test):
    wide, true = images(4)[:, :, :6], torch.zeros(4, dtype=torch.int64)
    with pytest.raises(UserError, match="transform 'rotation': it needs square images") as caught:
        apply_to_data(terms("rotation"), wide, true, 10, torch_generator, test=test)
    assert "6 x 8 pixels" in str(caught.value)
    found, _ = apply_to_data(terms("blur2"), wide, true, 10, torch_generator, test=test)
    assert found.shape == wide.shape
