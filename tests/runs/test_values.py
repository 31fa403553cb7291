"""Kinds of value: one spelling for each, bounds, and refusals that say what was expected."""

import re
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plasticity.runs.grammar import Template
from plasticity.runs.values import Ascending, Integer, Number, Word, decimal, describe

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite)
@example(1e-3)
@example(5e-324)
@example(1.7976931348623157e308)
def test_a_decimal_reads_back_as_the_same_number(number):
    assert float(decimal(number)) == number


@given(finite)
def test_a_decimal_has_no_exponent_and_no_superfluous_zeros(number):
    assert re.fullmatch(r"-?(0|[1-9]\d*)(\.\d*[1-9])?", decimal(number))


@given(finite)
def test_a_decimal_has_as_few_digits_as_the_shortest_that_reads_back(number):
    significant = Decimal(decimal(number)).normalize().as_tuple().digits
    assert significant == Decimal(repr(number)).normalize().as_tuple().digits


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.001, "0.001"),
        (1e-05, "0.00001"),
        (0.1, "0.1"),
        (2.0, "2"),
        (2, "2"),
        (100.0, "100"),
        (1e22, "1" + "0" * 22),
        (0.0, "0"),
    ],
)
def test_decimal(number, text):
    assert decimal(number) == text


def test_zero_has_one_spelling():
    # -0.0 is within "at least 0" and equal to 0.0: spelt "-0" it would be a second path.
    assert decimal(-0.0) == "0"


@given(finite)
def test_a_number_reads_what_it_writes(number):
    kind = Number()
    assert re.fullmatch(kind.pattern, kind.write(number))
    assert kind.read(kind.write(number)) == number


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Number(above=0), 0, "expected a number above 0, got 0"),
        (Number(above=0), -0.1, "expected a number above 0, got -0.1"),
        (Number(at_least=0, below=1), 1, "expected a number of at least 0 and below 1, got 1"),
        (Number(at_most=0.5), 0.75, "expected a number of at most 0.5, got 0.75"),
        (Number(), float("nan"), "expected a number, got nan"),
        (Number(), float("inf"), "expected a number, got inf"),
        (Number(), True, "expected a number, got True"),
        (Number(), None, "expected a number, got None"),
        (Number(), "1e-3", "got the text '1e-3', which was not read as a number: write 0.001"),
        (Number(), "fast", "expected a number, got the text 'fast'"),
        (Integer(at_least=1), 0, "expected a whole number of at least 1, got 0"),
        (Integer(at_least=1, at_most=6), 7, "at least 1 and at most 6, got 7"),
        (Integer(), 1.0, "expected a whole number of at least 0, got 1.0"),
        (Integer(), False, "expected a whole number of at least 0, got False"),
        (Ascending(at_least=1), [], "joined by '+', got []"),
        (Ascending(at_least=1), [0, 1], "expected a whole number of at least 1, got 0"),
        (Ascending(at_least=1), "5+6", "got the text '5+6'"),
        (Ascending(separator="x", default=()), 80, "joined by 'x', got 80"),
        (Ascending(default=None), [], "joined by '+', got []"),
        (Ascending(default=(1,)), [], "joined by '+', got []"),
        (Word(("layer", "filter")), "unit", "expected one of layer, filter, got the text 'unit'"),
        (Word(("layer", "filter")), "Layer", "expected one of layer, filter, got the text"),
        (Word(("layer", "filter")), "", "expected one of layer, filter, got the text ''"),
        (Word(("layer", "filter")), None, "expected one of layer, filter, got None"),
        (Word(("layer", "filter")), ["layer"], "expected one of layer, filter, got ['layer']"),
    ],
)
def test_a_value_out_of_bounds_is_refused(kind, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        kind.check(value)


def test_an_integer_too_large_for_a_float_is_refused():
    with pytest.raises(ValueError, match="expected a number"):
        Number().check(10**400)


def test_whole_numbers_pass_for_real_ones():
    checked = Number().check(1)
    assert checked == 1.0
    assert isinstance(checked, float)


@pytest.mark.parametrize("separator", ["+", "x", "."])
@given(st.sets(st.integers(0, 99), min_size=1), st.randoms(use_true_random=False))
def test_a_set_is_ascending_however_it_is_given(separator, numbers, random):
    shuffled = [*numbers, *numbers]
    random.shuffle(shuffled)
    kind = Ascending(separator=separator)
    text = separator.join(map(str, shuffled))
    assert re.fullmatch(kind.pattern, text)
    assert kind.check(shuffled) == tuple(sorted(numbers))
    assert kind.read(text) == tuple(sorted(numbers))
    assert kind.read(kind.write(kind.check(shuffled))) == tuple(sorted(numbers))


def test_a_separator_stands_for_itself():
    assert not re.fullmatch(Ascending(separator=".").pattern, "80x120")


def test_an_empty_set_is_a_value_where_it_is_the_default():
    assert Ascending(default=()).check([]) == ()


@pytest.mark.parametrize(
    ("drops", "text"),
    [((), "sgd"), ((80,), "sgd-drop80"), ((80, 120), "sgd-drop80x120")],
)
def test_a_set_can_be_an_optional_part(drops, text):
    template = Template("sgd[-drop{drops}]", {"drops": Ascending(separator="x", default=())})
    assert template.match(text) == ({"drops": drops} if drops else {})
    assert template.complete(template.match(text)) == {"drops": drops}
    assert template.complete({"drops": [*reversed(drops)]}) == {"drops": drops}
    assert template.write({"drops": drops}) == text


@given(st.sampled_from(["k", "init", "fresh"]))
def test_a_word_reads_what_it_writes_and_in_capitals_too(word):
    kind = Word(("k", "init", "fresh"))
    assert kind.check(word) == word
    for text in (kind.write(word), word.upper()):
        assert re.fullmatch(kind.pattern, text)
        assert kind.read(text) == word


@pytest.mark.parametrize("word", ["", "Layer", "layer2", "a-b", "a_b"])
def test_a_word_of_anything_but_lower_case_letters_is_none(word):
    with pytest.raises(ValueError, match="expected words in lower-case letters"):
        Word(("good", word))


def test_a_word_may_be_left_out_where_it_has_a_default():
    template = Template("a{n}[-in{scope}]", {"n": Integer(), "scope": Word(("b", "c"), "c")})
    assert template.complete(template.match("a1")) == {"n": 1, "scope": "c"}
    assert template.write({"n": 1, "scope": "c"}) == "a1"
    assert template.write({"n": 1, "scope": "b"}) == "a1-inb"
    with pytest.raises(ValueError, match="scope: expected one of b, c, got the text 'd'"):
        template.complete(template.match("a1-ind"))


def test_a_value_is_described_as_a_reader_of_yaml_would_name_it():
    assert describe("adam") == "the text 'adam'"
    assert describe("1e-3").startswith(
        "the text '1e-3', which was not read as a number: write 0.001 "
    )
    assert describe(None) == "None"
    assert describe(0.5) == "0.5"
