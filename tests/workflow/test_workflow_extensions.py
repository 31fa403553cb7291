"""An extension outside of the checkout, through Snakemake: elsewhere, edited, as a module."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from clone import TINY, Clone, counts
from extension_files import start, written

PICTURE = '''
def picture(tables):
    """The last test accuracy of each run, as points."""
    from plasticity.analysis.figures import Drawing, style

    numbers = tables.runs[["role", "run", "test_accuracy"]]
    drawn = style.picture(3.0)
    drawn.subplots().plot(numbers["test_accuracy"], "o")
    return Drawing(drawn, numbers)


def failing(tables):
    """A mistake."""
    return tables.nothing_of_this_name
'''
STUDY = f"""
{TINY}
extensions: {{ours: lab/ours.py}}
remedies: {{shrunk: shrink0.5}}
"""
OWN = {
    "seeds": [0],
    "lengths": {"pretrain": 1, "tune": 2},
    "targets": ["mine"],
    "figures": {
        "mine": {
            "title": "Of my own",
            "caption": "Points.",
            "draw": "ours.picture",
            "runs": {
                "cold": "full_{adam}_e{tune}_init",
                "warm": "half_{adam}_e{pretrain}_init/full_{adam}_e{tune}_keep",
            },
        }
    },
}


@pytest.fixture(scope="module")
def work(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder of its own, with an extension, its study and its results."""
    helpers = {"lab/helpers.py": "FACTOR = 1.0\n"}
    top = "import torch  # at the top, as anywhere\n"
    files = {"lab/ours.py": start() + top + PICTURE, **helpers}
    files |= {"study.yaml": STUDY, "own.json": json.dumps(OWN)}
    return written(tmp_path_factory.mktemp("work"), files)


@pytest.fixture
def told(clone: Clone, work: Path):
    """What Snakemake says in the working folder."""

    def run(*words: str) -> tuple[int, str]:
        files = ("--configfile", str(work / "study.yaml"), str(work / "own.json"))
        return clone.snakemake("--directory", str(work), *words, *files, study=None)

    return run


def results(work: Path) -> dict[str, Path]:
    return {path.parent.name: path for path in (work / "results/tune").rglob("metrics.parquet")}


def test_words_lists_those_of_extensions(told):
    status, printed = told("words")
    assert status == 0, printed
    assert "  shrink{factor}    (extension ours)\n      Every parameter times `factor`." in printed
    assert "factor, a number above 0 and of at most 1" in printed
    assert "[-b{batch}][-drop{drops}][-warm{warm}][-{schedule}]\n      Adam with" in printed
    assert "weight_magnitude (weight)" in printed
    assert "tuning_curves\n" in printed


@pytest.mark.long
def test_a_study_uses_it_and_an_edit_makes_exactly_its_runs_again(told, work: Path):
    status, printed = told("mine")
    assert status == 0, printed
    numbers = pd.read_csv(work / "results/figures/tiny/mine.csv")
    assert numbers["role"].tolist() == ["cold", "warm", "warm-shrunk"]
    places = results(work)
    about = {
        name: json.loads(pq.read_schema(path).metadata[b"plasticity"])
        for name, path in places.items()
    }
    (own,) = [name for name in about if name.endswith("shrink0.5")]
    assert about[own]["extensions"]["ours"]["place"] == "lab/ours.py"
    assert {n for n in about[own]["components"] if n.startswith("extensions/")} == {
        "extensions/ours/helpers.py",
        "extensions/ours/ours.py",
    }
    assert not any("extensions" in one for name, one in about.items() if name != own)
    assert "Nothing to be done" in told("mine", "-n")[1]

    (work / "lab/helpers.py").write_text("FACTOR = 0.5\n")
    status, printed = told("mine", "-n")
    planned = counts(printed)
    assert planned == {"mine": 1, "tune": 1, "summarise_figure": 1, "figure": 1}

    moved = (work / "lab").rename(work / "moved")
    status, printed = told("mine", "-n", "--config", "extensions={ours: moved/ours.py}")
    moved.rename(work / "lab")
    assert counts(printed) == planned

    before = {name: path.read_bytes() for name, path in results(work).items()}
    assert told("mine")[0] == 0
    after = {name: path.read_bytes() for name, path in results(work).items()}
    assert [name for name in after if after[name] != before[name]] == [own]


OUTER = """
configfile: "{clone}/config.yaml"
configfile: "study.yaml"
configfile: "own.json"

module inner:
    snakefile: "{clone}/Snakefile"
    config: config

use rule * from inner
"""


@pytest.mark.long
def test_it_is_found_where_this_workflow_is_a_module_of_another(clone: Clone, told, work: Path):
    assert told("mine")[0] == 0
    (work / "outer.smk").write_text(OUTER.format(clone=clone.path))
    (work / "lab/helpers.py").write_text("FACTOR = 0.75\n")
    words = ("--snakefile", str(work / "outer.smk"), "--directory", str(work))
    triggers = ("--rerun-triggers", "mtime", "params")
    status, printed = clone.snakemake("mine", *words, *triggers, study=None)
    assert status == 0, printed
    assert "rule tune:" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("figures={mine: {draw: ours.failing}}",), r"lab/ours.py, line"),
        (("extensions={ours: lab/none.py}",), "extensions.ours: 'lab/none.py': no such file"),
        (("figures={mine: {draw: ours.none}}",), "ours.py has no function 'none'"),
    ],
)
def test_mistakes_are_told_without_tracebacks(told, words, message):
    status, printed = told("mine", "--config", *words)
    assert status == 1
    assert message in printed
    assert "Traceback" not in printed
