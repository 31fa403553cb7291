"""Where a number moves, a digest moves: a few functions are broken, all of them by command."""

import subprocess
import sys
from pathlib import Path

import pytest
from mutating.breaking import altered, functions_in
from mutating.looking import JOBS
from mutations import Outcome, compared

ROOT = Path(__file__).parents[2]
MUTATIONS = ROOT / "tests" / "mutations.py"


def broken(*arguments):
    done = subprocess.run(
        [sys.executable, MUTATIONS, *arguments], capture_output=True, encoding="utf-8", check=False
    )
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.long
def test_numbers_that_move_are_noticed():
    status, printed = broken("--sample", "8", "--seed", "1")
    assert status == 0, printed
    assert len(printed.splitlines()) == 9


@pytest.fixture
def function():
    (found,) = (f for f in functions_in(ROOT / "plasticity", "core") if f.name == "derive")
    return found


def looked(numbers="1", components="a"):
    return {name: {"numbers": numbers, "components": components} for name in JOBS}


def test_what_is_told_of_a_broken_function(function):
    assert compared(function, looked(), looked()).word == "same"
    assert compared(function, looked(), "an error").word == "error"
    assert compared(function, looked(), looked("2", "b")).word == "moved"
    assert compared(function, looked(), looked("1", "b")).word == "same"
    unnoticed = compared(function, looked(), looked("2", "a"))
    assert unnoticed == Outcome(function, "", tuple(JOBS), tuple(JOBS))
    assert str(unnoticed).startswith("UNNOTICED core/rng.py:")


def test_a_function_is_broken_by_a_line(function, tmp_path):
    (tmp_path / "core").mkdir()
    path = tmp_path / "core" / "rng.py"
    before = (ROOT / "plasticity" / "core" / "rng.py").read_text().splitlines()
    path.write_text("\n".join(before))
    function.break_in(tmp_path)
    after = path.read_text().splitlines()
    assert [line for line in after if line not in before] == [after[function.line - 1]]
    found: dict[str, object] = {}
    exec("\n".join(before), found)
    usual = found["derive"](0, "order")
    exec("\n".join(after), found)
    assert found["derive"](0, "order") == usual + 1


@pytest.mark.parametrize("value", [True, 3, 0.0, "word", (1, 2), [0.5], {"a": 1}, {1, 2}])
def test_what_a_function_returns_is_altered(value):
    assert altered(value) != value
    assert type(altered(value)) is type(value)
