"""Data selections: their sizes, what they depend on, and their files."""

import json
import re
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasticity.core.errors import UserError
from plasticity.core.rng import numpy_generator
from plasticity.data import splits
from plasticity.data.arrivals import arrivals
from plasticity.runs import data_selections

FULL, HALF = data_selections.parse("full"), data_selections.parse("half")
LABELS = np.arange(101) % 3
CLASSES = ["ant", "bee", "cow"]


@pytest.fixture
def written(tmp_path):
    """A split of half of 101 examples by seed 0, as a file."""
    path = tmp_path / "splits" / "half.parquet"
    splits.write(path, HALF, LABELS, CLASSES, 0, {"data/splits.py": "0"})
    return path


def refusal(path, examples=101):
    with pytest.raises(UserError, match=re.escape(str(path))) as refused:
        splits.read(path, examples)
    return str(refused.value)


def test_full_is_every_example():
    assert splits.draw(FULL, LABELS, seed=3).tolist() == list(range(101))


@given(st.integers(2, 500), st.integers(0, 10))
def test_half_is_half_of_the_examples_each_once(examples, seed):
    indices = splits.draw(HALF, np.zeros(examples, dtype=np.int64), seed)
    assert len(indices) == examples // 2
    assert len(np.unique(indices)) == len(indices)
    assert indices.min() >= 0
    assert indices.max() < examples


def test_indices_ascend_and_are_int64():
    indices = splits.draw(HALF, LABELS, seed=0)
    assert indices.dtype == np.int64
    assert (np.diff(indices) > 0).all()


def test_a_seed_gives_the_same_half_each_time():
    assert np.array_equal(splits.draw(HALF, LABELS, 0), splits.draw(HALF, LABELS, 0))


def test_another_seed_gives_another_half():
    halves = {tuple(splits.draw(HALF, LABELS, seed)) for seed in range(20)}
    assert len(halves) == 20


def test_half_is_drawn_uniformly():
    """Over 400 seeds each of 20 examples is taken in about half: 200, deviation 10."""
    counts = np.zeros(20)
    for seed in range(400):
        counts[splits.draw(HALF, np.zeros(20), seed)] += 1
    assert counts.sum() == 400 * 10
    assert np.abs(counts - 200).max() < 50


def test_half_does_not_change_between_versions():
    # A change here changes every result that rests on half of the data.
    assert splits.draw(HALF, np.zeros(12), seed=0).tolist() == [0, 2, 3, 6, 8, 9]


def test_a_file_gives_back_what_was_drawn(written):
    indices = splits.read(written, len(LABELS))
    assert np.array_equal(indices, splits.draw(HALF, LABELS, seed=0))
    assert indices.dtype == np.int64
    assert indices.flags.writeable  # torch warns about arrays that are not


def test_a_file_has_the_declared_schema(written):
    assert pq.read_schema(written).remove_metadata().equals(splits.SCHEMA)


def test_a_file_explains_itself(written):
    about = json.loads(pq.read_schema(written).metadata[b"plasticity"])
    indices = splits.draw(HALF, LABELS, seed=0)
    assert about == {
        "selection": "half",
        "seed": 0,
        "examples": 50,
        "of": 101,
        "class_counts": {
            name: int((LABELS[indices] == label).sum()) for label, name in enumerate(CLASSES)
        },
        "components": {"data/splits.py": "0"},
    }
    assert sum(about["class_counts"].values()) == 50


def test_a_class_without_examples_is_counted_too(tmp_path):
    splits.write(tmp_path / "full.parquet", FULL, np.zeros(4, dtype=np.int64), CLASSES, seed=0)
    about = json.loads(pq.read_schema(tmp_path / "full.parquet").metadata[b"plasticity"])
    assert about["class_counts"] == {"ant": 4, "bee": 0, "cow": 0}


def test_two_draws_give_the_same_bytes(written, tmp_path):
    splits.write(tmp_path / "again.parquet", HALF, LABELS, CLASSES, 0, {"data/splits.py": "0"})
    assert (tmp_path / "again.parquet").read_bytes() == written.read_bytes()


def test_a_missing_file_is_named(tmp_path):
    assert "not a readable split" in refusal(tmp_path / "none.parquet")


@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_a_truncated_file_is_named(written, size):
    written.write_bytes(written.read_bytes()[:size])
    assert "delete it and run again to draw it anew" in refusal(written)


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "split.parquet").write_text("index\n1\n2\n")
    assert "not a readable split" in refusal(tmp_path / "split.parquet")


def test_a_flipped_byte_is_named_or_gives_indices_of_the_data_set(written):
    good = written.read_bytes()
    for position in range(0, len(good), 3):
        damaged = bytearray(good)
        damaged[position] ^= 0xFF
        written.write_bytes(damaged)
        try:
            indices = splits.read(written, 101)
        except UserError:
            continue
        assert indices.dtype == np.int64
        assert set(indices) <= set(range(101))


@pytest.mark.parametrize("examples", [1, 50, 90])
def test_indices_beyond_the_data_set_are_refused(written, examples):
    assert f"do not fit a data set of {examples} examples" in refusal(written, examples)


@pytest.mark.parametrize("indices", [[-1, 3], [0, 101], []])
def test_indices_out_of_range_are_refused(tmp_path, indices):
    table = pa.table({"index": indices}, schema=splits.SCHEMA)
    pq.write_table(table, tmp_path / "split.parquet")
    assert "do not fit a data set of 101 examples" in refusal(tmp_path / "split.parquet")


@pytest.mark.parametrize(
    "columns",
    [
        {"other": [1, 2, 3]},
        {"index": pa.array([1, None, 3])},
        {"index": ["one", "two"]},
        {"index": [0.5, 1.5]},
    ],
)
def test_a_table_of_something_else_is_refused(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "split.parquet")
    refusal(tmp_path / "split.parquet")


def test_a_full_disk_leaves_what_was_there(written, full_disk):
    before = written.read_bytes()
    with (
        full_disk(100),
        pytest.raises(UserError, match=r"half\.parquet: cannot be written .* make room"),
    ):
        splits.write(written, HALF, LABELS, CLASSES, seed=1)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["half.parquet"]


# The half from which sampling drifts, and the control without a transition


def test_a_drift_begins_with_the_half_of_the_same_seed():
    drift = data_selections.parse("drift0.5")
    assert np.array_equal(splits.draw(drift, LABELS, 3), splits.draw(HALF, LABELS, 3))


def test_a_drift_follows_the_formula_of_the_paper():
    drift = data_selections.parse("drift0.3")
    share = drift.facts.fraction_of_all
    for progress in (0.0, 0.01, 0.1, 1.0):
        assert share(progress, **drift.own) == 1 - 0.3 ** (50 * progress)


def test_resampling_draws_from_everything_all_the_time():
    control = data_selections.parse("resampled")
    assert len(splits.draw(control, LABELS, 0)) == len(LABELS)
    assert control.facts.fraction_of_all(0.01) == 1.0


# Growing the data in stages (appendix A.3)


@st.composite
def grown_data(draw):
    """Labels, a number of stages of pretraining and a ratio that go together."""
    classes = draw(st.integers(2, 12))
    labels = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=200)))
    labels = np.concatenate([np.arange(classes), labels])  # every class at least once
    ratio = draw(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1))
    stages = draw(st.integers(1, 30 if ratio == 1.0 else classes - 1))
    return labels, stages, ratio


@given(grown_data(), st.integers(0, 5))
def test_stages_are_built_as_the_paper_says(data, seed):
    labels, stages, ratio = data
    arrived = arrivals(labels, np.random.default_rng(seed), stages, ratio)
    # Each example arrives once, so that parts are disjoint, stages nested, the last one everything.
    assert arrived.shape == labels.shape
    assert arrived.min() >= 1
    assert arrived.max() <= stages + 1
    # The uniform part is the first so many of a random order, and cut evenly.
    order = np.random.default_rng(seed).permutation(len(labels))
    uniform, rest = np.split(order, [round(ratio * len(labels))])
    pieces = np.bincount(arrived[uniform], minlength=stages + 2)[1:]
    assert pieces.max() - pieces.min() <= 1
    # The rest arrives class by class: a class in one stage, the classes dealt out evenly.
    groups = {label: set(arrived[rest][labels[rest] == label]) for label in set(labels[rest])}
    assert all(len(group) == 1 for group in groups.values())
    if ratio == 0.0:
        dealt = np.bincount([group.pop() for group in groups.values()], minlength=stages + 2)[1:]
        assert dealt.min() >= 1
        assert dealt.max() - dealt.min() <= 1


@given(grown_data(), st.integers(0, 5))
def test_a_stage_holds_the_one_before(data, seed):
    labels, stages, ratio = data
    before: set[int] = set()
    for stage in range(1, stages + 1):
        term = data_selections.term("stage", {"stage": stage, "stages": stages, "ratio": ratio})
        now = set(splits.draw(term, labels, seed))
        assert before <= now
        before = now


@given(st.integers(1, 500), st.integers(1, 20))
def test_the_size_of_even_stages_is_known_beforehand(examples, stages):
    labels = np.zeros(examples, dtype=np.int64)
    for stage in range(1, stages + 1):
        term = data_selections.parse(f"stage{stage}of{stages}r1")
        drawn = splits.draw(term, labels, seed=0)
        assert term.facts.size(examples, 1, **term.own) == len(drawn)


@pytest.mark.parametrize("stages", range(1, 10))
@pytest.mark.parametrize("ratio", ["0", "0.25", "0.5"])
def test_the_size_of_stages_by_class_is_known_beforehand(stages, ratio):
    """Ten classes do not go evenly into three, four, six .. groups: the first get one more."""
    labels = np.repeat(np.arange(10), 100)
    for stage in range(1, stages + 1):
        term = data_selections.parse(f"stage{stage}of{stages}r{ratio}")
        drawn = splits.draw(term, labels, seed=0)
        # A class has 100 examples; how many of these are dealt out by class is drawn.
        off = 0 if ratio == "0" else 30
        assert term.facts.size(1000, 10, **term.own) == pytest.approx(len(drawn), abs=off)


def test_whole_classes_arrive_at_ratio_0():
    labels = np.repeat(np.arange(10), 7)
    seen = [
        set(labels[splits.draw(data_selections.parse(f"stage{i}of4r0"), labels, 0)])
        for i in range(1, 5)
    ]
    assert [len(classes) for classes in seen] == [2, 4, 6, 8]
    for i in range(1, 5):
        drawn = splits.draw(data_selections.parse(f"stage{i}of4r0"), labels, 0)
        assert len(drawn) == 7 * len(seen[i - 1])


def test_ratios_share_the_deal_of_the_classes():
    """So that the accuracies at two ratios differ by the ratio and not by the classes."""
    terms = [data_selections.parse(f"stage1of4r{ratio}") for ratio in ("0", "0.5")]
    (stream,) = {term.facts.stream.format(**term.options) for term in terms}
    labels = np.repeat(np.arange(10), 10)
    whole, part = (arrivals(labels, numpy_generator(0, stream), 4, r) for r in (0.0, 0.5))
    by_class = numpy_generator(0, stream).permutation(100)[50:]
    assert np.array_equal(whole[by_class], part[by_class])
    assert not np.array_equal(whole, part)


def test_seeds_deal_out_the_classes_differently():
    labels = np.repeat(np.arange(10), 3)
    first = data_selections.parse("stage1of4r0")
    dealt = {tuple(sorted(set(labels[splits.draw(first, labels, seed)]))) for seed in range(20)}
    assert len(dealt) > 10


def test_more_stages_than_classes_are_refused():
    term = data_selections.parse("stage1of3r0.5")
    with pytest.raises(UserError, match="need at least 4 classes to deal out, and there are 3"):
        splits.draw(term, LABELS, 0)
    assert len(splits.draw(data_selections.parse("stage1of3r1"), LABELS, 0)) == 26


def test_a_selection_of_nothing_is_refused(tmp_path):
    """It would otherwise be refused where it is read, with the advice to draw it anew, for ever."""
    with pytest.raises(UserError, match="'half' takes none of 1 training examples") as refused:
        splits.write(tmp_path / "half.parquet", HALF, np.zeros(1, np.int64), CLASSES, seed=0)
    assert "delete" not in str(refused.value)
    assert not (tmp_path / "half.parquet").exists()


# Parts that share a draw

COUNTS = st.integers(8, 300)


def drawn(spelling, examples, seed):
    """What is selected of so many examples of a class; its size is known beforehand."""
    term = data_selections.parse(spelling)
    found = splits.draw(term, np.zeros(examples), seed)
    assert term.facts.size(examples, 1, **term.own) == len(found)
    return found.tolist()


@given(COUNTS, st.integers(0, 5))
def test_half_and_rest_are_everything(examples, seed):
    both = drawn("half", examples, seed) + drawn("rest", examples, seed)
    assert sorted(both) == list(range(examples))


@given(COUNTS, st.integers(0, 5), st.integers(2, 8))
def test_chunks_are_everything_and_of_one_size(examples, seed, chunks):
    found = [drawn(f"chunk{n}of{chunks}", examples, seed) for n in range(1, chunks + 1)]
    assert sorted(chain(*found)) == list(range(examples))
    assert max(map(len, found)) - min(map(len, found)) <= 1
    halves = [drawn(f"chunk{n}of{2 * chunks}", 2 * chunks * 20, seed) for n in (1, 2)]
    assert sorted(chain(*halves)) == drawn(f"chunk1of{chunks}", 2 * chunks * 20, seed)


@given(COUNTS, st.integers(0, 5))
def test_a_small_part_is_within_a_large_one(examples, seed):
    parts = [set(drawn(f"part{fraction}", examples, seed)) for fraction in (0.1, 0.35, 0.9)]
    assert [len(part) for part in parts] == [round(f * examples) for f in (0.1, 0.35, 0.9)]
    assert parts[0] <= parts[1] <= parts[2]


def test_parts_do_not_change_between_versions():
    """By hand, from the streams that they are drawn from."""
    for spelling, stream, slice_ in (
        ("rest", "half", slice(6, 12)),
        ("part0.25", "part", slice(0, 3)),
        ("chunk2of5", "chunks", slice(2, 4)),
    ):
        order = numpy_generator(0, "split", stream).permutation(12)
        assert drawn(spelling, 12, 0) == sorted(order[slice_].tolist())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("part0", "fraction: expected a number above 0 and below 1"),
        ("part1", "fraction: expected a number above 0 and below 1"),
        ("chunk1of1", "chunks: expected a whole number of at least 2"),
        ("chunk3of2", "chunk: expected at most 2, the number of chunks, got 3"),
        ("chunk0of2", "chunk: expected a whole number of at least 1"),
    ],
)
def test_parts_that_are_none_are_refused(wrong, words):
    with pytest.raises(UserError, match=words):
        data_selections.parse(wrong)
