"""What Snakemake is told of code: it differs from what is on record where a result is outdated."""

import pytest

from plasticity.pipeline.jobs import Made, told_of_code
from plasticity.runs.provenance import Code

CODE = Code({"training/loop.py": "a"})
OTHER = Code({"training/loop.py": "b"})
TEXT = f"code {CODE.digest}"


def test_of_what_is_to_be_made_it_is_told_the_digest():
    assert told_of_code(CODE, None, ()) == TEXT
    assert told_of_code(OTHER, None, ()) != TEXT


@pytest.mark.parametrize(
    "known", [TEXT, f"code {OTHER.digest}", "code 0123456789abcdef, changed: training/loop.py"]
)
def test_of_the_present_code_it_is_told_what_it_knows(known):
    """Whatever that was: a digest of equivalent code, or why the result was made again once."""
    current = Made([], "float32")
    assert told_of_code(CODE, current, ["'float32'", repr(known), "'run'"]) == known


def test_without_a_record_it_is_told_the_digest():
    assert told_of_code(CODE, Made([], "float32"), ["'float32'"]) == TEXT
    assert told_of_code(CODE, Made([], "float32"), ()) == TEXT


def test_of_other_code_it_is_told_which_changed():
    outdated = Made(["models/resnet.py", "training/loop.py"], "float32")
    told = told_of_code(CODE, outdated, [repr(f"code {OTHER.digest}")])
    assert told == f"{TEXT}, changed: models/resnet.py, training/loop.py"


def test_of_other_code_it_is_never_told_what_it_knows():
    """As where a file was put back from elsewhere."""
    outdated = Made(["training/loop.py"], "float32")
    told = f"{TEXT}, changed: training/loop.py"
    assert told_of_code(CODE, outdated, [repr(told)]) == f"{told}, again"
    assert told_of_code(CODE, outdated, [repr(TEXT)]) == told
