"""Hostile input: whatever a configuration or a path holds, it is used as it must be or refused.

Refused means with one message that names the key or the path: no other error, no file outside of
`results/`, no endless work.
"""

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
from clone import Clone
from hypothesis import example, given, settings
from hypothesis import strategies as st
from snakemake.utils import update_config

from plasticity.core import files
from plasticity.core.errors import LONGEST, UserError, named, shown
from plasticity.runs import Run, SpellingError, layout
from plasticity.runs.kinds import PRETRAIN, TUNE, Job
from plasticity.runs.run import LONGEST_RUN, LONGEST_STAGE
from plasticity.runs.values import Number, describe
from plasticity.study import Study
from plasticity.study.plan import MOST_RUNS
from plasticity.study.settings import FigureSettings, Settings

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


@settings(max_examples=300)
@given(mutated_configurations())
def test_a_mutated_configuration_is_used_or_refused(config):
    require_used_or_refused(config)


@pytest.mark.parametrize("key", sorted({*Settings.model_fields} - {"figures"}))
def test_every_setting_takes_every_value_or_refuses_it(key):
    for value in [*VALUES, *TEXTS]:
        require_used_or_refused({**SINGLE, key: value})
        require_used_or_refused({**SINGLE, key: [value]})
        if isinstance(PAPER.get(key, {}), dict):
            require_used_or_refused({**SINGLE, key: {"adam": value, "tune": value}})


@pytest.mark.parametrize("key", sorted(FigureSettings.model_fields))
def test_every_setting_of_a_figure_takes_every_value_or_refuses_it(key):
    for value in [*VALUES, *TEXTS]:
        for one in (value, [value], {"warm": value}, {"epochs": [value]}):
            figure = {**SINGLE["figures"]["fig02"], key: one}
            require_used_or_refused({**SINGLE, "figures": {"fig02": figure}})


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_names_lead_nowhere_else(text):
    base = SINGLE
    figure = base["figures"]["fig02"]
    require_used_or_refused({**base, "study": text})
    require_used_or_refused({**base, "figures": {**base["figures"], text: figure}})
    require_used_or_refused({**base, "lengths": {**base["lengths"], text: 3}})
    require_used_or_refused({**base, "remedies": {text: "reset6"}})
    require_used_or_refused({**base, "sources": {text: "/data"}})
    require_used_or_refused({**base, "optimisers": {**base["optimisers"], text: {"rule": "adam"}}})
    require_used_or_refused({**base, "optimisers": {"adam": {"rule": "adam", "lr": 0.1, text: 1}}})
    require_used_or_refused({**base, text: 1})


# Paths


@st.composite
def hostile_paths(draw):
    """The path of a run with hostile texts instead of, in or between some of its parts."""
    parts = re.split(r"([/_-])", draw(st.sampled_from([COLD, WARM])))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(parts) - 1))
        text = draw(texts)
        parts[place : place + draw(st.integers(0, 1))] = [text]
    return "".join(parts)


@settings(max_examples=300)
@given(hostile_paths() | texts)
@example(WARM)
@example(COLD)
def test_a_path_is_refused_or_spells_a_run(text):
    for read, path in (
        (Run.parse, text),
        (run_of, f"results/tune/{text}/metrics.parquet"),
        (run_of, f"results/pretrain/{text}/checkpoint.safetensors"),
        (run_of, text),
    ):
        with Watch():
            try:
                run = read(path)
            except UserError as error:
                require_one_line(error)
                continue
        written = {
            str(run),
            layout.done(Job(TUNE, run)),
            layout.done(Job(PRETRAIN, run)),
            layout.checkpoint(run),
        }
        assert path in written
        for made in paths_of_run(run):
            require_inside(made)


@pytest.fixture(scope="module")
def study():
    return Study(small())


@settings(max_examples=200)
@given(
    st.sampled_from(
        ["", "results/", "results/tune/", "results/pretrain/", "results/data/", "results/splits/",
         "results/figures/paper/", "results/summary/paper/figures/", "results/preview/paper/",
         "results/../", "/", "fig"]
    ),
    hostile_paths() | texts,
    st.sampled_from(["", "/", "/metrics.parquet", "/train.safetensors", ".parquet", ".svg"]),
)  # fmt: skip
def test_a_command_line_is_understood_or_refused(study, place, text, end):
    try:
        asked = study.asked([f"{place}{text}{end}"])
    except UserError as error:
        require_one_line(error)
    else:
        for run in asked.states:
            assert run_of(layout.checkpoint(run)) == run


# What was found, a mistake a test


def refusal(*overlays):
    with Watch(), pytest.raises(UserError) as refused:
        Study(overlaid(*overlays))
    message = str(refused.value)
    require_readable(message)
    return message


def of_figure(name, **changes):
    return {"figures": {name: changes}}


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        # A number that Python refuses to write ended in its own error.
        ({"seeds": [HUGE]}, "seeds.0: expected less than or equal to 999999999999999999, got a nu"),
        ({"lengths": {"tune": HUGE}}, "lengths.tune: expected less than or equal to 1000000, got"),
        (of_figure("fig02", grid={"epochs": [HUGE]}), "grid.epochs: holds a number of more than"),
        ({"optimisers": {"adam": {"batch": HUGE}}}, "adam.batch: expected a whole number of at"),
        ({"optimisers": {"adam": {"lr": HUGE}}}, "optimisers.adam.lr: expected a number above 0"),
        # A seed that no path can hold was refused without the reason.
        ({"seeds": [10**30]}, "seeds.0: expected less than or equal to 999999999999999999, got 10"),
        ({"optimisers": {"adam": {"batch": 10**30}}}, "and at most 999999999999999999, got 10000"),
        ({"threads": 10**9}, "threads: expected less than or equal to 1024, got 1000000000"),
        ({"slots_per_gpu": 10**9}, "slots_per_gpu: expected less than or equal to 64, got 10000"),
        (
            of_figure("fig05", grid={"width": [10**9]}),
            "of at least 1 and at most 2048",
        ),
        (
            of_figure("fig05", grid={"depth": [5000]}),
            "depth: expected a whole number of at least 1 and at",
        ),
        (
            {"model": "resnet-d1w1000000000"},
            "of at least 1 and at most 2048",
        ),
        (of_figure("fig03", grid={"gamma": [math.nan]}), "grid.gamma: holds nan; expected numbers"),
        (of_figure("fig03", grid={"gamma": [math.inf]}), "grid.gamma: holds inf; expected numbers"),
        # Hours by division: a rate may not be so small that another network's is zero.
        ({"images_per_second": 5e-324}, "images_per_second: expected greater than or equal to 0."),
        ({"images_per_second": math.inf}, "images_per_second: expected a finite number, got inf"),
        ({"images_per_second": True}, "images_per_second: expected a valid number, got True"),
        # Names became folders that no file system holds.
        ({"study": "a" * 300}, "expected at most 80 characters: folders and files get this name"),
        ({"optimisers": {"adam": {"lr": 1e-300}}}, "take numbers of fewer digits"),
        (of_figure("fig03", grid={"gamma": [5e-324]}), "its folder would have a name of 3"),
        # A stage may stand there thousands of times.
        (of_figure("fig04", grid={"splits": [100]}), "its path has more than 2400 characters"),
        (of_figure("fig04", grid={"splits": [10**15]}), "its path has more than 2400 characters"),
        # The whole product of the grid was made before anything was looked at.
        (
            of_figure("fig05", grid={"depth": list(range(1, 2000)), "width": list(range(1, 2000))}),
            "figures.fig05.runs.cold: 1999 x 1999 points of the grid and 5 seeds make 19,980,005 ",
        ),
        ({"seeds": list(range(200_001))}, "200,001 runs; expected at most 200,000 in all figures"),
        # A text was shown whole, however long, and with what a terminal or a page cannot hold.
        ({"dataset": "a" * 10**6}, "dataset: got 'aaa"),
        ({"model": "resnet18\ud800"}, r"'resnet18\ud800'"),
        (of_figure("fig02", title="a\0b"), "fig02.title: holds the character '\\x00', which"),
        (of_figure("fig02", labels={"cold": "a\ud800b"}), "labels.cold: holds the character"),
        ({"sources": {"cifar10": "\0"}}, "sources.cifar10: got '\\x00'; expected the path of a"),
        ({"sources": {"cifar10": ""}}, "sources.cifar10: got ''; expected the path of a"),
        ({"sources": {"cifar10": "a" * 300}}, "; expected the path of a file or folder"),
        ({"sources": {"a\nb": "/data"}}, "sources.'a\\nb': unknown data set 'a\\nb'"),
        # A list of ten billion words was written out.
        ({"seeds": laughs}, "seeds.0: expected a valid integer, got [[[[...], "),
        ({"device": laughs}, "device: expected 'cuda' or 'cpu', got [[[[...], "),
        ({"seeds": ["x"] * 1000}, "and 980 more"),
        ({"threads": datetime.date(2020, 1, 1)}, "threads: expected a valid integer, got the date"),
        ({"threads": "1e400"}, "threads: expected a valid integer, got the text '1e400'"),
    ],
)
def test_what_cannot_be_is_named(overlay, message):
    assert message in refusal(overlay)


def test_lists_within_lists_are_not_written_out():
    with pytest.raises(UserError, match=re.escape("device: expected 'cuda' or 'cpu', got [[[[...")):
        Study({**PAPER, "device": deep})


def test_a_key_that_is_called_like_a_type_is_named_whole():
    assert refusal({"lengths": {"int": 0}}).startswith("lengths.int: ")


def test_only_some_of_many_names_are_listed():
    message = refusal({"lengths": {f"x{number}": 1 for number in range(999)}}, of_figure(
        "fig02", runs={"cold": "full_{nobody}_e{tune}_init"}
    ))  # fmt: skip
    assert (
        "unknown word in braces 'nobody'; expected one of pretrain, tune, stage, total, x0"
        in message
    )
    assert "x45, ..." in message
    assert "x47" not in message


def test_typography_is_no_mistake():
    title = "η\N{THIN SPACE}=\N{NO-BREAK SPACE}0\N{ZERO WIDTH JOINER}, \N{RIGHT-TO-LEFT MARK}א"
    place = "/data/Bilder\N{NO-BREAK SPACE}für später/*{a}~"
    study = Study(overlaid(of_figure("fig01", title=title), {"sources": {"svhn": place}}))
    assert study.figures["fig01"].settings.title == title
    assert study.source("svhn") == place


def test_a_key_that_is_no_text_is_named():
    assert refusal({"lengths": {1: 2}}).startswith("lengths.1: expected a valid string, got 1")


def test_seeds_are_compared_in_no_time():
    """A hundred thousand runs are a large study, not a mistake."""
    seeds = list(range(100_000))
    began = time.process_time()
    assert Settings.read(overlaid({"seeds": seeds})).seeds == seeds
    assert time.process_time() - began < 30


def test_a_remedy_whose_role_is_there_already_is_named():
    runs = {"warm-last": "half_{adam}_e{pretrain}_init/full_{adam}_e{tune}_reset5"}
    message = refusal(of_figure("fig01", runs=runs), {"remedies": {"last": "reset6"}})
    assert message.startswith(
        "remedies.last: with it the role 'warm' of figures.fig01 is called 'war"
    )


def test_a_large_study_is_no_mistake():
    config = overlaid({"lengths": {"tune": 10_000}, "targets": ["fig01"], "seeds": [10**9]})
    assert str(Study(config).runs[0]).endswith("seed1000000000/full_adam-lr0.001_e10000_init")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"results/tune/{COLD}/xmetrics.parquet", "and in it metrics.parquet"),
        (f"results/tune/{COLD}/checkpoint.safetensors", "and in it metrics.parquet"),
        (f"elsewhere/tune/{COLD}/metrics.parquet", "expected a path below results/pretrain/ or"),
        (f"results/logs/{COLD}/metrics.parquet", "expected a path below results/pretrain/ or"),
        (f"/results/tune/{COLD}/metrics.parquet", "expected a path below results/pretrain/ or"),
        (f"results/tune/../{COLD}/metrics.parquet", "unknown data set '..'"),
    ],
)
def test_a_file_of_no_run_is_refused(path, message):
    with pytest.raises(SpellingError, match=re.escape(message)):
        layout.job_of(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("results/splits/cifar10/seed007/half.parquet", "seed 'seed007' is spelt 'seed7'"),
        ("results/splits/cifar10/seed7/hal.parquet", "did you mean 'half'?"),
        ("results/splits/../seed7/half.parquet", None),
        ("results/splits/cifar11/seed7/half.parquet", "unknown data set 'cifar11'"),
        ("results/splits/cifar10/half.parquet", "expected results/splits/<dataset>/seed<k>/"),
        ("results/data/cifar10-n0/train.safetensors", "at least 1, got 0"),
        ("results/data", "unknown data set ''"),
        ("results/data/cifar10/train.safetensors", None),
        ("results/splits/cifar10/seed7/half.parquet", None),
        ("results/logs/data/x.log", None),
    ],
)
def test_data_and_splits_are_spelt_as_runs_are(study, path, message):
    if message is None:
        assert study.asked([path]).jobs == tuple(dict.fromkeys(study.jobs_of(study.targets)))
    else:
        with pytest.raises(UserError, match=f"^{re.escape(path)}: .*{re.escape(message)}"):
            study.asked([path])


@pytest.mark.parametrize(
    ("part", "wrong", "message"),
    [
        ("e500", "e99999999999999999999", "of at least 1 and at most 1000000"),
        ("e500", "e1000001", "of at least 1 and at most 1000000"),
        ("seed0", "seed1" + "0" * 30, "of at least 0 and at most 999999999999999999"),
        ("adam-lr0.001", f"adam-lr0.{'0' * 300}1", f"expected at most {LONGEST_STAGE}"),
        (
            "resnet18",
            "resnet-d1w1000000000",
            "of at least 1 and at most 2048",
        ),
        ("full", "stage1of1000000r1", "at most 1000, got 1000000"),
        ("cifar10", "a" * 10**6, f"more than {LONGEST_RUN} characters"),
    ],
)
def test_a_path_beyond_all_bounds_is_refused(part, wrong, message):
    with pytest.raises(SpellingError, match=re.escape(message)) as refused:
        Run.parse(COLD.replace(part, wrong))
    assert len(str(refused.value)) < 3 * LONGEST


def test_a_run_of_too_many_stages_is_refused():
    stage = "/full_adam-lr0.001_e500_keep"
    assert Run.parse(COLD + stage * 60)
    with pytest.raises(SpellingError, match="no room on disk; take fewer stages"):
        Run.parse(COLD + stage * 100)


def test_a_long_text_is_no_number_in_no_time():
    began = time.process_time()
    assert re.fullmatch(Number.pattern, "1" * 100_000 + "x") is None
    assert describe("1" * 100_000 + "x").startswith("the text '111")
    assert time.process_time() - began < 10


@pytest.mark.parametrize("value", [*VALUES, *TEXTS], ids=lambda value: type(value).__name__)
def test_everything_can_be_shown(value):
    for text in (shown(value), named(value), describe(value)):
        assert text.isprintable()
        assert 0 < len(text) <= LONGEST + 20


def test_what_is_short_is_shown_as_python_writes_it():
    for value in (COLD, WARM, 3, -0.5, None, True, [0, 1, 2], {"lr": 0.1, "rule": "adam"}):
        assert shown(value) == repr(value)
    assert named("figures") == "figures"


def test_every_word_in_use_is_within_the_bounds():
    """The limits of names on disk leave room for all that a study spells."""
    for run in Study(PAPER).runs:
        assert len(str(run)) < LONGEST_RUN / 4
        assert max(map(len, map(str, run.stages))) < LONGEST_STAGE / 2


def test_a_device_or_a_pipe_is_no_source(tmp_path):
    with pytest.raises(UserError, match=r"sources.svhn: /dev/zero: neither a file nor a folder"):
        files.require_readable("/dev/zero", "sources.svhn")
    files.require_readable(tmp_path, "sources.svhn")
    files.require_readable(tmp_path / "not there: another message", "sources.svhn")
    (tmp_path / "link").symlink_to("link")
    files.require_readable(tmp_path / "link", "sources.svhn")


# The workflow


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the project in which nothing was run."""
    place = tmp_path_factory.mktemp("hostile") / "clone"
    place.mkdir()
    return Clone(place)


def tree(clone):
    """Every file and folder in and beside `clone`, without Snakemake's own records."""
    return {
        path
        for path in clone.path.parent.rglob("*")
        if not {".snakemake", "__pycache__"} & set(path.parts)
    }


class TestSnakemake:
    """The same through Snakemake: a status, a message, and nothing written.

    Not here, because Snakemake reads the files behind `--configfile` before it reads the workflow:
    a file that is missing, a folder or not UTF-8, and a mapping that holds itself. These end with
    the traceback of Snakemake's own error, the name of the file in all but the last two.
    """

    def refused(self, clone, *arguments, config=None):
        before = tree(clone)
        files = []
        if config is not None:
            file = clone.path.parent / "hostile.yaml"
            file.write_text(config)
            files, before = [str(file)], before | {file}
        status, printed = clone.snakemake(
            *arguments, "--configfile", "studies/tiny.yaml", *files, study=None
        )
        assert status != 0, printed
        assert "Traceback" not in printed
        assert printed.count("Error") <= 2, printed  # that of Snakemake and ours
        assert tree(clone) == before
        return printed

    @pytest.mark.parametrize(
        ("target", "message"),
        [
            ("results/tune/../../etc/x", "No rule to produce etc/x"),
            (f"results/tune/mnist{COLD.removeprefix('cifar10')}/metrics.parquet", "'mnist'"),
            (
                "results/tune/cifar10/resnet18/seed0/stage1of1000000r1_adam-lr0.1_e1_init/"
                "metrics.parquet",
                "stages: expected a whole number of at least 1 and at most 1000, got 1000000",
            ),
        ],
    )
    def test_a_path(self, clone, target, message):
        assert message in self.refused(clone, "-n", target)

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ("[1, 2]", "Config file must be given as JSON or YAML with keys at top level"),
            ("", "Config file must be given as JSON or YAML with keys at top level"),
            ("a: [1", "Config file is not valid JSON or YAML"),
            (
                f"{{study: a/b, seeds: &a [*a, 0x{'f' * 5000}, 2020-01-01, null], "
                'sources: {svhn: "\\0"}}',
                "study: got 'a/b'; expected a lower-case letter",
            ),
            (
                f"figures: {{fig05: {{grid: {{depth: {list(range(1, 501))}, "
                f"width: {list(range(1, 501))}}}}}}}",
                "figures.fig05.runs.cold: 500 x 500 points of the grid and 2 seeds make 500,000 r",
            ),
        ],
        ids=["list", "empty", "broken", "strange", "grid"],
    )
    def test_a_file(self, clone, config, message):
        assert message in self.refused(clone, "-n", config=config)

    def test_a_text_for_seeds(self, clone):
        printed = self.refused(clone, "-n", "--config", "seeds=abc")
        assert "seeds: expected a list, such as [0, 1, 2], got 'abc'" in printed

    def test_a_device_as_a_source(self, clone):
        """Also where the workflow would run, as only then sources are looked at."""
        printed = self.refused(clone, "--config", "sources={digits-clutter: /dev/zero}")
        assert "sources.digits-clutter: /dev/zero: neither a file nor a folder" in printed

    def test_braces_in_the_words_of_a_figure_are_no_wildcards(self, clone):
        (clone.path / "studies" / "braces.yaml").write_text(
            'figures: {fig01: {title: "a {gamma}", caption: "{", labels: {warm: "{x}"}}}'
        )
        status, printed = clone.snakemake(
            "-n", "--configfile", "studies/tiny.yaml", "studies/braces.yaml", study=None
        )
        assert status == 0, printed
