"""Views: each changes what it says and nothing else, in one order, and only where it applies."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import pad

from plasticity.core.rng import torch_generator
from plasticity.data.apply import apply_to_batch, apply_to_data, classes_of, drawn, task_of
from plasticity.data.transforms.blur import PIECE
from plasticity.runs import SpellingError, transforms
from plasticity.runs.combination import combination

SPELLINGS = ["blur4", "randomlabels", "wronglabels0.5", "rotation", "augment", "order1"]


def terms(*spellings):
    return tuple(transforms.parse(spelling) for spelling in spellings)


def images(n, size=8, channels=3, seed=0):
    shape = (n, channels, size, size)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch_generator(seed, "images"))


def labels(n, classes=10, seed=0):
    return torch.randint(classes, (n,), generator=torch_generator(seed, "labels"))


def generator_for(term):
    return torch_generator(0, "labels", term)


def refuse(term):
    raise AssertionError(f"a generator was asked for {term}")


def seen(spellings, some, true, *, test, generators=generator_for):
    """Images and labels as a stage with the transforms `spellings` is given them."""
    return apply_to_data(terms(*spellings), some, true, 10, generators, test=test)


# Spelling


@pytest.mark.parametrize("spelling", [*SPELLINGS, "blur2", "order12"])
def test_a_view_reads_back_from_its_spelling(spelling):
    assert str(transforms.parse(spelling)) == spelling


def test_every_view_is_tried_here():
    assert sorted(term.member.name for term in terms(*SPELLINGS)) == sorted(transforms.members)


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("blur1", "factor: expected a whole number of at least 2, got 1"),
        ("order0", "number: expected a whole number of at least 1, got 0"),
        ("blur04", "is spelt 'blur4'"),
        ("rotate", "did you mean 'rotation'"),
        ("blur", "expected one of augment, blur{factor}, order{number}, randomlabels, rota"),
    ],
)
def test_a_wrong_spelling_is_refused_with_the_right_one(spelling, message):
    with pytest.raises(SpellingError) as caught:
        transforms.parse(spelling)
    assert message in str(caught.value)


def test_every_transform_has_its_place_by_what_it_changes():
    order = ("images", "labels", "batches", "order")
    ordered = combination(terms(*SPELLINGS[:1], *SPELLINGS[3:][::-1]))
    kinds = [term.facts.changes for term in ordered]
    assert kinds == sorted(kinds, key=order.index)
    assert set(order) == {member.facts.changes for member in transforms.members.values()}


# Several transforms


@pytest.mark.parametrize("given", list(permutations(["blur4", "rotation", "augment", "order2"])))
def test_views_have_one_order(given):
    expected = terms("blur4", "rotation", "augment", "order2")
    assert combination(terms(*given)) == expected


def test_none_and_one_are_in_order():
    assert combination(()) == ()
    assert combination(terms("randomlabels")) == terms("randomlabels")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("blur4", "blur2"),
            "the transforms 'blur4' and 'blur2' are of one kind: take one of them",
        ),
        (("order1", "augment", "order1"), "the transforms 'order1' and 'order1' are of one kind"),
        (
            ("rotation", "augment", "randomlabels"),
            "the transforms 'randomlabels' and 'rotation' both give the examples labels: take one",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        combination(terms(*given))


@pytest.mark.parametrize(
    ("given", "classes", "task"),
    [
        ((), 10, ""),
        (("blur4", "randomlabels", "augment", "order1"), 10, ""),
        (("blur4", "rotation", "order1"), 4, "rotation"),
    ],
)
def test_a_view_with_labels_of_its_own_is_another_task(given, classes, task):
    assert classes_of(terms(*given), 10) == classes
    assert task_of(terms(*given)) == task


# Blur


def blurred(some, factor=4):
    return transforms.term("blur", {"factor": factor})(some)


@pytest.mark.parametrize("size", [1, 2, 5, 8, 13])
@pytest.mark.parametrize("factor", [2, 3, 4, 100])
def test_blurred_images_keep_their_shape_and_their_mean(size, factor):
    some = images(300, size)
    found = blurred(some, factor)
    assert found.shape == some.shape
    assert found.dtype == torch.uint8
    # A pixel at the edge counts for more on the way back, by chance more or less bright.
    assert found.float().mean() == pytest.approx(some.float().mean(), abs=3 if size > 1 else 0.5)


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_constant_images_stay_as_they_are(factor):
    some = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1).expand(256, 2, 9, 9)
    assert torch.equal(blurred(some, factor), some)


def test_a_checkerboard_becomes_grey():
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2 * 255
    found = blurred(board.to(torch.uint8)[None, None], 2)
    # 127.5, rounded to the even neighbour.
    assert (found == 128).all()


def test_an_edge_becomes_a_slope():
    edge = torch.tensor([0, 0, 200, 200], dtype=torch.uint8).expand(1, 1, 4, 4)
    # Two by two pixels, 0 and 200 in each row, whose centres are half a pixel inside.
    assert blurred(edge, 2).flatten().tolist() == 4 * [0, 50, 150, 200]


def test_images_are_blurred_each_by_itself():
    some = images(2 * PIECE + 1, 4)
    found = blurred(some)
    for index in (0, PIECE - 1, PIECE, 2 * PIECE):
        assert torch.equal(found[[index]], blurred(some[[index]]))


def test_blurring_leaves_what_it_is_given():
    some = images(3)
    before = some.clone()
    blurred(some)
    assert torch.equal(some, before)


# Rotation


@given(st.lists(st.integers(0, 3), max_size=8))
def test_rotation_turns_each_image_by_its_label(quarters):
    some, draws = images(len(quarters), 5), torch.tensor(quarters, dtype=torch.int64).view(-1, 1)
    turned, found = apply_to_batch(terms("rotation"), some, labels(len(quarters)), draws)
    assert found.tolist() == quarters
    assert turned.shape == some.shape
    for before, after, number in zip(some, turned, quarters, strict=True):
        assert torch.equal(after, torch.rot90(before, number, (-2, -1)))


def test_all_rotations_are_drawn():
    draws = drawn(terms("rotation"), 1, 128, torch_generator(0))[0]
    _, found = apply_to_batch(terms("rotation"), images(128), labels(128), draws)
    assert found.unique().tolist() == [0, 1, 2, 3]


# Augmentation


def augmented(some, *draws):
    """Images with the same random numbers for all of them."""
    given = torch.tensor(draws).expand(len(some), 3)
    true = labels(len(some))
    found, kept = apply_to_batch(terms("augment"), some, true, given)
    assert torch.equal(kept, true)
    return found


def test_a_crop_from_the_middle_is_the_image():
    some = images(5)
    assert torch.equal(augmented(some, 4, 4, 0), some)
    assert torch.equal(augmented(some, 4, 4, 1), some.flip(-1))


def test_a_crop_from_the_corner_has_a_black_margin():
    some = images(5)
    found = augmented(some, 0, 8, 0)
    assert torch.equal(found[:, :, 4:, :4], some[:, :, :4, 4:])
    assert (found[:, :, :4] == 0).all()
    assert (found[:, :, :, 4:] == 0).all()


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 1)), min_size=1),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_augmentation_is_padding_cropping_and_flipping(draws, height, width):
    some = images(len(draws), 9, 2)[:, :, :height, :width]
    found, _ = apply_to_batch(terms("augment"), some, labels(len(draws)), torch.tensor(draws))
    assert found.dtype == torch.uint8
    for before, after, (top, left, flip) in zip(some, found, draws, strict=True):
        cropped = pad(before, (4, 4, 4, 4))[:, top : top + height, left : left + width]
        assert torch.equal(after, cropped.flip(-1) if flip else cropped)


# Random numbers


def test_random_numbers_are_uniform():
    draws = drawn(terms("rotation", "augment"), 100, 128, torch_generator(0))
    assert draws.shape == (100, 128, 4)
    assert draws.dtype == torch.int64
    for column, values in enumerate((9, 9, 2, 4)):
        counts = torch.bincount(draws[:, :, column].flatten(), minlength=values)
        assert len(counts) == values
        expected = 12_800 / values
        assert (counts - expected).abs().max() < 5 * expected**0.5


def test_random_numbers_are_those_of_the_stream():
    given = terms("augment")
    first, again, other = (drawn(given, 3, 5, torch_generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_columns_and_steps_are_drawn_apart():
    draws = drawn(terms("augment"), 2, 50, torch_generator(0))
    assert not torch.equal(draws[:, :, 0], draws[:, :, 1])
    assert not torch.equal(draws[0], draws[1])


def test_other_views_need_no_random_numbers():
    given = terms("blur4", "randomlabels", "order1")
    assert drawn(given, 3, 5, torch_generator(0)).shape == (3, 5, 0)


# Application


def test_each_view_of_a_batch_is_given_its_own_columns():
    some, true, both = images(20), labels(20), terms("rotation", "augment")
    draws = drawn(both, 1, 20, torch_generator(0))[0]
    augmented, _ = apply_to_batch(both[1:], some, true, draws[:, :3])
    expected, quarters = apply_to_batch(both[:1], augmented, true, draws[:, 3:])
    found, labelled = apply_to_batch(both, some, true, draws)
    assert torch.equal(found, expected)
    assert torch.equal(labelled, quarters)


def test_a_batch_without_views_of_batches_stays_as_it_is():
    given, some, true = terms("blur4", "randomlabels", "order1"), images(4), labels(4)
    found, labelled = apply_to_batch(given, some, true, torch.zeros((4, 0), dtype=torch.int64))
    assert torch.equal(found, some)
    assert torch.equal(labelled, true)


@pytest.mark.parametrize("test", [False, True])
def test_images_are_blurred_in_training_and_in_the_test(test):
    some, true = images(6), labels(6)
    found, labelled = seen(["blur4"], some, true, test=test, generators=refuse)
    assert torch.equal(found, blurred(some))
    assert torch.equal(labelled, true)


def test_labels_are_random_in_training_and_true_in_the_test():
    some, true = images(50), labels(50)
    found, labelled = seen(["randomlabels"], some, true, test=False)
    (term,) = terms("randomlabels")
    assert torch.equal(found, some)
    assert torch.equal(labelled, term(true, 10, generator_for(term)))
    assert not torch.equal(labelled, true)
    found, labelled = seen(["randomlabels"], some, true, test=True, generators=refuse)
    assert torch.equal(found, some)
    assert torch.equal(labelled, true)


def test_test_images_are_turned_one_after_another():
    some, true = images(10), labels(10)
    found, labelled = seen(["rotation"], some, true, test=True)
    assert labelled.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    for index in range(10):
        assert torch.equal(found[index], torch.rot90(some[index], index % 4, (-2, -1)))


@pytest.mark.parametrize(
    ("spelling", "test"),
    [
        ("rotation", False),
        ("augment", False),
        ("augment", True),
        ("order1", False),
        ("order1", True),
    ],
)
def test_nothing_else_changes_the_data(spelling, test):
    some, true = images(10), labels(10)
    found, labelled = seen([spelling], some, true, test=test, generators=refuse)
    assert torch.equal(found, some)
    assert torch.equal(labelled, true)


def test_test_images_are_blurred_and_then_turned():
    some, true = images(8), labels(8)
    found, labelled = seen(["blur2", "rotation", "augment"], some, true, test=True)
    expected, quarters = seen(["rotation"], blurred(some, 2), true, test=True)
    assert torch.equal(found, expected)
    assert torch.equal(labelled, quarters)


@pytest.mark.parametrize("spellings", [["rotation"], ["augment"], ["rotation", "augment"]])
def test_a_batch_is_changed_without_looking_at_the_numbers(spellings):
    """Tensors of the device "meta" have shapes alone: who asks for a number is refused.

    So shapes do not depend on numbers, and no device is waited for.
    """
    given = terms(*spellings)
    draws = drawn(given, 1, 16, torch_generator(0))[0].to("meta")
    found, labelled = apply_to_batch(given, images(16).to("meta"), labels(16).to("meta"), draws)
    assert (found.device.type, found.shape, found.dtype) == ("meta", (16, 3, 8, 8), torch.uint8)
    assert (labelled.device.type, labelled.shape) == ("meta", (16,))


def test_views_neither_heed_nor_move_the_global_generator():
    some, true, given = images(8), labels(8), terms("rotation", "augment")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    seen(["blur4", "randomlabels"], some, true, test=False)
    draws = drawn(given, 1, 8, torch_generator(0))[0]
    apply_to_batch(given, some, true, draws)
    assert torch.equal(torch.get_rng_state(), before)
