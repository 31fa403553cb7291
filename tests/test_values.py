"""Kinds of value: one spelling for each, bounds, and refusals that say what was expected."""

import re
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plasticity.spec.values import Ascending, Integer, Number, decimal, describe

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


@given(st.sets(st.integers(0, 99), min_size=1), st.randoms(use_true_random=False))
def test_a_set_is_ascending_however_it_is_given(numbers, random):
    shuffled = [*numbers, *numbers]
    random.shuffle(shuffled)
    kind = Ascending()
    assert kind.check(shuffled) == tuple(sorted(numbers))
    assert kind.read("+".join(map(str, shuffled))) == tuple(sorted(numbers))
    assert kind.read(kind.write(kind.check(shuffled))) == tuple(sorted(numbers))


def test_a_value_is_described_as_a_reader_of_yaml_would_name_it():
    assert describe("adam") == "the text 'adam'"
    assert describe("1e-3").startswith(
        "the text '1e-3', which was not read as a number: write 0.001 "
    )
    assert describe(None) == "None"
    assert describe(0.5) == "0.5"
