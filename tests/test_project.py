"""The project as a whole: what a start loads, its environments and its docstrings.

Who may import whom is a contract in pyproject.toml, which `make lint` holds.
"""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "plasticity"


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def imports(name):
    """Every module that `name` imports, and whether it does so when it is imported itself."""
    tree = MODULES[name]
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(function, ast.If) and ast.unparse(function.test) == "TYPE_CHECKING")
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        at_once = id(node) not in inner
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                # The module that is meant: `from plasticity import files` is plasticity.core.files.
                inside = f"{node.module}.{alias.name}"
                is_module = inside.removeprefix("plasticity.") in MODULES
                yield (inside if is_module else node.module), at_once


# What a start loads


def test_reading_paths_and_the_study_loads_neither_torch_nor_pandas():
    code = """
import json, sys, yaml
from plasticity.runs import Run, data_selections, datasets, models, optimisers, starts, transforms
from plasticity.pipeline import digests
from plasticity.runs.kinds import TUNE, Job
from plasticity.study import Study
for registry in (data_selections, datasets, models, optimisers, starts, transforms):
    assert registry.members
for text in ("adam-lr0.1", "rmsprop-lr0.1", "sgd-lr0.1-m0.9"):
    optimisers.parse(text)
study = Study(yaml.safe_load(open("config.yaml", encoding="utf-8").read()))
digests.code_of(Job(TUNE, study.runs[0])), digests.summary(), digests.drawing("resets")
heavy = ("torch", "torchvision", "pandas", "scipy", "sklearn", "matplotlib", "seaborn", "PIL")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_digests_and_the_study_are_the_same_in_any_locale():
    """Text is UTF-8, whatever the locale says; ruff holds that for each file that is opened."""
    code = """
import json, yaml
from plasticity.pipeline import digests
from plasticity.study import Study
study = Study(yaml.safe_load(open("config.yaml", encoding="utf-8")))
assert study.runs
print(json.dumps([digests.closure.every_file(), digests.claims(), digests.summary()]))
"""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": "."}
    told = [
        subprocess.run(
            [sys.executable, *options, "-c", code],
            cwd=ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        for options, variables in [
            (["-X", "utf8"], {"PYTHONPATH": "."}),
            (["-X", "warn_default_encoding", "-W", "error::EncodingWarning:plasticity"], plain),
        ]
    ]
    assert told[0] == told[1]


# Docstrings


@pytest.mark.parametrize("name", list(MODULES))
def test_everything_public_has_a_docstring(name):
    tree = MODULES[name]
    assert ast.get_docstring(tree), f"{name} has no docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name}.{node.name} has no docstring"


@pytest.mark.parametrize("path", sorted((ROOT / "workflow" / "scripts").glob("*.py")), ids=str)
def test_every_script_says_what_it_does(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


# Pages

FOLDERS = {"benchmarks", "studies", "tests", "workflow", *(path.name for path in PACKAGE.iterdir())}
PAGES = {ROOT / "README.md", *(ROOT / "docs").glob("*.md")}


# The blocks of one page are put where they say by a test of its own.
@pytest.mark.parametrize("page", sorted(PAGES - {ROOT / "docs/howto-extend.md"}), ids=str)
def test_a_file_that_a_page_names_is_there(page):
    """Whole paths, those within the library, and names of tests; not those that a reader makes."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    words = {word.rstrip("/") for word in re.findall(r"`([\w./-]+)`", text)}
    paths = {word for word in words if word.split("/")[0] in FOLDERS and "/" in word}
    missing = {word for word in paths if not any((top / word).exists() for top in (ROOT, PACKAGE))}
    tests = {word for word in words if re.fullmatch(r"test_\w+", word)}
    missing |= {word for word in tests if not any((ROOT / "tests").rglob(f"{word}.py"))}
    assert missing <= {"studies/short.yaml"}  # which the README writes


# Profiles


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_an_older_snakemake_finds_the_profile_and_is_then_refused(profile):
    """It looks for another name, and would end before it reads which version is needed."""
    folder = ROOT / "profiles" / profile
    assert (folder / "config.yaml").samefile(folder / "profile.yaml")
    needed = re.search(r'min_version\("(.+)"\)', (ROOT / "Snakefile").read_text(encoding="utf-8"))
    assert f"Snakemake {needed[1]} or newer" in (ROOT / "README.md").read_text(encoding="utf-8")


# Environments


def canonical(requirement):
    """A pinned requirement with its name as package indexes compare it."""
    name, version = requirement.strip().split("==")
    return re.sub(r"[-_.]+", "-", name).lower(), version


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(canonical(line) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_environment_pins_what_the_tests_ran_with(path):
    entries = yaml.safe_load(path.read_text())["dependencies"]
    (pinned,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    assert pinned
    found, tested = dict(canonical(line) for line in pinned), constraints()
    assert found == {name: tested.get(name) for name in found}


def test_constraints_are_pinned_and_each_once():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert len(pins) == len(constraints())


def test_what_is_required_is_constrained():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [re.split(r"[\s\[<>=!~;]", line)[0] for line in lines if re.match(r"\w", line)]
    assert wanted
    missing = {canonical(f"{name}==0")[0] for name in wanted} - set(constraints())
    assert not missing


SCRIPTS = {
    **dict.fromkeys(["budget", "words"], "budget"),
    **dict.fromkeys(["claims", "figure", "preview"], "analysis"),
    **dict.fromkeys(["summarise", "summarise_observations", "summarise_remedies"], "analysis"),
    **dict.fromkeys(["dataset", "dataset_variant", "split", "train", "prune", "observe"], "train"),
    **dict.fromkeys(["calibrate", "network_costs"], "train"),
}
"""The environment of each script."""


def loaded_by(script):
    """The modules of the library that a script loads before it calls anything."""
    waiting, found = [f"plasticity.scripts.{script}"], set()
    while waiting:
        name = waiting.pop().removeprefix("plasticity.")
        while name not in MODULES:
            name = name.rpartition(".")[0]
        if name not in found:
            found.add(name)
            waiting += [t for t, at_once in imports(name) if at_once and "plasticity." in t]
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_calls_the_module_of_its_name(script):
    (_, load, line) = ast.parse((ROOT / "workflow/scripts" / f"{script}.py").read_text()).body
    assert ast.unparse(load) == "from plasticity.scripts.call import call"
    assert ast.unparse(line) == f"call('{script}', snakemake)"
    assert f"scripts.{script}" in MODULES


def test_every_script_has_an_environment():
    assert {path.stem for path in (ROOT / "workflow" / "scripts").glob("*.py")} == set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_environment_holds_what_its_jobs_import(script):
    entries = yaml.safe_load((ROOT / "envs" / f"{SCRIPTS[script]}.yaml").read_text())
    (pinned,) = [entry["pip"] for entry in entries["dependencies"] if isinstance(entry, dict)]
    held = {canonical(line)[0] for line in pinned}
    for module in loaded_by(script):
        tops = {target.split(".")[0] for target, at_once in imports(module) if at_once}
        assert tops - {"plasticity"} - set(sys.stdlib_module_names) <= held, module
