"""Hostile input: whatever a configuration or a path holds, it is used as it must be or refused.

Refused means with one message that names the key or the path: no other error, no file outside of
`results/`, no endless work.
"""

import re

import pytest
from clone import Clone
from hostile import (
    COLD,
    PAPER,
    SINGLE,
    TEXTS,
    VALUES,
    WARM,
    Watch,
    mutated_configurations,
    paths_of_run,
    require_inside,
    require_one_line,
    require_used_or_refused,
    run_of,
    small,
    texts,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plasticity.core.errors import UserError
from plasticity.runs import Run, layout
from plasticity.runs.kinds import PRETRAIN, TUNE, Job
from plasticity.study import Study
from plasticity.study.settings import FigureSettings, Settings


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
            (f"results/tune/emnist{COLD.removeprefix('cifar10')}/metrics.parquet", "'emnist'"),
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
