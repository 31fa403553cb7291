"""What is hostile in a configuration or a path, and what must come of it."""

import copy
import datetime
import math
import posixpath
import re
import resource
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import strategies as st
from snakemake.utils import update_config

from plasticity.core.errors import LONGEST, UserError
from plasticity.runs import layout
from plasticity.runs.bounds import MOST_RUNS
from plasticity.runs.kinds import PRETRAIN, TUNE, Job
from plasticity.study import Study
from plasticity.study.settings import Settings

ROOT = Path(__file__).parents[2]
PAPER = yaml.safe_load((ROOT / "config.yaml").read_text())
COLD = "cifar10/resnet18/seed0/full_adam-lr0.001_e500_init"
WARM = "cifar10/resnet18/seed0/half_adam-lr0.001_e350_init/full_adam-lr0.001_e500_reset5+6"
HUGE = 16**5000
"""A number that YAML reads (as 0x1000...) and Python refuses to write in decimal digits."""


def overlaid(*overlays):
    """The paper's configuration with `overlays`, as Snakemake lays one over another."""
    config = copy.deepcopy(PAPER)
    for overlay in overlays:
        update_config(config, copy.deepcopy(overlay))
    return config


def small():
    """The paper's study with two seeds, which is planned in no time."""
    figures = {"fig07": {"seeds": [0]}, "fig05": {"grid": {"depth": [1, 2], "width": [16, 64]}}}
    return overlaid({"seeds": [0, 1], "figures": figures, "remedies": {"last": "reset6"}})


BASES = [
    small(),
    *(
        overlaid(yaml.safe_load(path.read_text()), {"seeds": [0]})
        for path in sorted((ROOT / "studies").glob("*.yaml"))
    ),
]


SINGLE = {
    **BASES[0],
    "lengths": {"tune": 500},
    "optimisers": {"adam": {"rule": "adam", "lr": 0.001}},
    "targets": ["fig02"],
    "figures": {"fig02": BASES[0]["figures"]["fig02"]},
}
"""One figure and the words that it uses."""


# What is hostile

TEXTS = [
    "",
    " ",
    ".",
    "..",
    "../../up",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "C:\\windows",
    "~",
    "~root",
    "$HOME",
    "$(reboot)",
    "`id`",
    ";",
    "*",
    "?",
    "[a]",
    "{",
    "}",
    "{}",
    "{{}}",
    "{0}",
    "{seed}",
    "{adam}",
    "{adam.rule}",
    "{adam!r}",
    "{adam:{tune}}",
    "{adam:adam}",
    "{splits}",
    "{i}",
    "{start}",
    "*{splits}",
    "*9999",
    "*999999999999999999",
    "*0",
    "*1*1",
    "-n",
    "--config",
    "-",
    "_",
    "___",
    ".snakemake",
    "results",
    "all",
    "None",
    "null",
    "true",
    "nan",
    "inf",
    "1e400",
    "e99999999999999999999",
    "e999999999999999999",
    "seed1000000000000000000000000000000",
    "stage1of1000000r1",
    "resnet-d1w1000000000",
    "adam-lr1e-400",
    "0x10",
    "1_000",
    "\N{CYRILLIC SMALL LETTER A}dam",
    "\N{FULLWIDTH DIGIT ONE}",
    "\N{ARABIC-INDIC DIGIT THREE}",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "\N{ZERO WIDTH SPACE}",
    "\N{FRACTION SLASH}",
    "\N{PILE OF POO}",
    "\ud800",
    "\0",
    "\n",
    "\r\n",
    "\x1b[31m",
    "a" * 256,
    "1" * 5000,
    "{adam}" * 300,
    "a" * 200_000,
    "1" * 100_000 + "x",
]

endless = [1]
endless.append(endless)
laughs = ["ha"] * 10
for _ in range(9):  # 10 ** 10 words, were they written out
    laughs = [laughs] * 10
deep = []
for _ in range(50_000):
    deep = [deep]

VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2,
    10**18,
    10**30,
    HUGE,
    -HUGE,
    0.0,
    -0.0,
    0.5,
    math.nan,
    math.inf,
    1e308,
    5e-324,
    datetime.date(2020, 1, 1),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    b"bytes",
    (1, 2),
    {1, 2},
    [],
    {},
    [[]],
    [None],
    {None: None},
    {1: 2, "a": []},
    {(1, 2): 3},
    {"rule": "adam", "lr": 0.1},
    endless,
    laughs,
    deep,
    list(range(100)),
    list(range(210_000)),
    {f"x{number}": number for number in range(500)},
]

texts = st.sampled_from(TEXTS) | st.text(max_size=5)
values = (
    st.sampled_from(VALUES)
    | texts
    | st.lists(st.sampled_from(VALUES[:20]) | texts, max_size=4)
    | st.dictionaries(texts, st.sampled_from(VALUES[:20]) | texts, max_size=3)
)


# Configurations


def places(config):
    """Every key and every position in `config`, as the mapping or list and its key, below first."""
    found = []
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        found.append((config, key))
        if isinstance(value, dict | list):
            found += places(value)
    return found


@st.composite
def mutated_configurations(draw):
    """A real configuration with up to three things deleted, replaced, renamed or spoilt."""
    config = copy.deepcopy(draw(st.sampled_from(BASES)))
    # All chosen before anything is changed: what is hostile is neither walked through nor changed.
    chosen = draw(st.lists(st.sampled_from(places(config)), min_size=1, max_size=3))
    for holder, key in chosen:
        if key in holder if isinstance(holder, dict) else key < len(holder):
            mutate(holder, key, draw)
    return config


def mutate(holder, key, draw):
    """Change what `holder` has under `key`."""
    change = draw(st.sampled_from(["delete", "replace", "rename", "insert", "double"]))
    value = holder[key]
    if change == "insert" and isinstance(value, str):
        place = draw(st.integers(0, len(value)))
        holder[key] = value[:place] + draw(texts) + value[place:]
    elif change == "rename" and isinstance(holder, dict):
        holder[draw(texts)] = holder.pop(key)
    elif change == "double" and isinstance(holder, list):
        holder.append(value)
    elif change == "delete":
        del holder[key]
    else:
        holder[key] = draw(values)


def require_readable(message):
    """A message says where, in bounded lines that a terminal can print."""
    where = re.split(r"[:.]", message)[0]
    assert where in {*Settings.model_fields, "configuration"}, message[:500]
    for line in message.splitlines():
        assert line.isprintable(), message[:500]
        assert len(line) < 5 * LONGEST + 700, message[:500]  # with what is known and expected
    assert len(message.splitlines()) < 30


def require_one_line(error):
    assert str(error).isprintable()
    assert len(str(error)) < 5 * LONGEST


def paths_of(study):
    """The path of every file that `study` makes, by the functions of the layout."""
    for figure in study.figures.values():
        yield from (layout.figure(study.name, figure.name, s) for s in layout.FIGURE_SUFFIXES)
        for table in ("runs", "curves", "gaps"):
            yield layout.summary(study.name, table, figure.name)
            yield layout.summary(study.name, table)
    yield layout.gap_table(study.name)
    yield layout.calibration(study.name)
    yield layout.network_costs(study.name)
    yield layout.claims(study.name, "html")
    for run in {run for figure in study.figures.values() for run in figure.runs}:
        yield from paths_of_run(run)


def run_of(path):
    return layout.job_of(path).run


def paths_of_run(run):
    yield from layout.dataset(run.dataset).values()
    yield layout.split(run)
    while run:
        yield layout.checkpoint(run)
        yield layout.done(Job(PRETRAIN, run))
        yield layout.done(Job(TUNE, run))
        yield f"results/logs/pretrain/{run}.log"
        run = run.parent


def require_inside(path):
    """A path is its own normal form below `results/`, and no name in it is too long or strange."""
    assert posixpath.normpath(path) == path
    parts = path.split("/")
    assert parts[0] == "results"
    for part in parts[1:]:
        assert re.fullmatch(r"[a-z0-9][a-zA-Z0-9.+_-]*", part)
    assert all(len(f".{part}.partial") <= 255 for part in parts)
    # Snakemake's records are named by the path in base64, below the folder of the study.
    assert len(path) * 4 / 3 < 4096 - 512


class Watch:
    """A test's time on the processor and its memory, which hostile input must not blow up."""

    def __enter__(self):
        self.began, self.memory = time.process_time(), self.peak()
        return self

    def __exit__(self, *_):
        assert time.process_time() - self.began < 60
        assert self.peak() - self.memory < 500

    def peak(self):
        """In MB."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def require_used_or_refused(config):
    with Watch():
        try:
            study = Study(config)
        except UserError as error:
            message = str(error)
        else:
            assert len(study.runs) <= MOST_RUNS
            for path in set(paths_of(study)):
                require_inside(path)
            return
    require_readable(message)


def refusal(*overlays):
    with Watch(), pytest.raises(UserError) as refused:
        Study(overlaid(*overlays))
    message = str(refused.value)
    require_readable(message)
    return message


def of_figure(name, **changes):
    return {"figures": {name: changes}}
