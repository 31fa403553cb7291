"""The project as a whole: its floors, its imports, its environments and its docstrings."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "plasticity"

FLOORS = (
    {"errors"},
    {"files", "streams", "signals", "cadence", "quantities", "columns", "computing"},
    {"spec", "metrics", "tables"},
    {"arrivals", "costs", "layout"},
    {"study"},
    {"datasets", "splits"},
    {"models"},
    {"tickets"},
    {"optim", "starts", "views"},
    {"checkpoint", "engine", "devices"},
    {"recording"},
    {"hardware"},
    {"stages"},
    {"training", "pruning", "telemetry", "connectivity"},
    {"calibration", "observation"},
    {"stats"},
    {"summary"},
    {"claims"},
    {"figures"},
    {"preview"},
    {"jobs"},
    {"forkserver"},
)
"""The top-level modules of the library, lowest first: a module imports from lower floors alone."""

# What each part of the library may import besides the standard library.
USUAL = {"torch", "numpy", "pandas", "pyarrow", "safetensors"}
THIRD_PARTY = {
    "spec": set(),
    "errors": set(),
    "files": {"safetensors"},
    "signals": set(),
    "cadence": set(),
    "quantities": {"torch"},
    "computing": set(),
    "costs": set(),
    "layout": set(),
    "devices": set(),
    "jobs": set(),
    "forkserver": set(),
    "study": {"pydantic"},
    "claims": {"numpy", "pandas", "pyarrow"},
    "figures": {"pandas", "matplotlib", "seaborn"},
}
INSIDE_FUNCTIONS = {
    ("datasets", "sklearn"),
    ("datasets.sources", "PIL"),
    ("datasets.sources", "torchvision"),
    ("stats", "scipy"),
}
"""Imports that are made when a function is called, by the few that need them."""


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
NAMES = [name for name in MODULES if name]  # without the package itself


def imports(name):
    """Every module that `name` imports, and whether it does so when it is imported itself."""
    tree = MODULES[name]
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        at_once = id(node) not in inner
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively, which digests do not follow"
            for alias in node.names:
                # The module that is meant: `from plasticity import files` is plasticity.files.
                inside = f"{node.module}.{alias.name}"
                is_module = inside.removeprefix("plasticity.") in MODULES
                yield (inside if is_module else node.module), at_once


def floor_of(name):
    return next(number for number, names in enumerate(FLOORS) if name.split(".")[0] in names)


# Floors


def test_every_module_has_a_floor():
    assert {name.split(".")[0] for name in NAMES} == set().union(*FLOORS)


@pytest.mark.parametrize("name", NAMES)
def test_imports_go_down_only(name):
    part = name.split(".")[0]
    for target, _ in imports(name):
        if target.startswith("plasticity."):
            below = target.removeprefix("plasticity.")
            inside = below.split(".")[0] == part
            assert inside or floor_of(below) < floor_of(name), f"{name} imports {below}"


@pytest.mark.parametrize("name", NAMES)
def test_what_computes_does_not_know_the_study(name):
    if not name.startswith("study"):
        assert not [target for target, _ in imports(name) if target.startswith("plasticity.study")]


@pytest.mark.parametrize("name", NAMES)
def test_a_module_imports_what_its_part_may(name):
    allowed = THIRD_PARTY.get(name.split(".")[0], USUAL)
    for target, at_once in imports(name):
        top = target.split(".")[0]
        if top == "plasticity" or top in sys.stdlib_module_names:
            continue
        assert top in allowed or (not at_once and (name, top) in INSIDE_FUNCTIONS), (
            f"{name} imports {target}"
        )


def test_the_exceptions_are_in_use():
    found = {(name, target.split(".")[0]) for name in NAMES for target, _ in imports(name)}
    assert found >= INSIDE_FUNCTIONS


def test_reading_paths_and_the_study_loads_neither_torch_nor_pandas():
    code = """
import json, sys, yaml
import plasticity.spec, plasticity.study, plasticity.layout
from plasticity.spec import Run, data_selections, datasets, models, optimisers, starts, views
from plasticity.study import Study, digest
for registry in (data_selections, datasets, models, optimisers, starts, views):
    assert registry.members
for text in ("adam-lr0.1", "rmsprop-lr0.1", "sgd-lr0.1-m0.9"):
    optimisers.parse(text)
study = Study(yaml.safe_load(open("config.yaml", encoding="utf-8").read()))
digest.training(study.runs[0]), digest.summary(), digest.drawing("resets")
heavy = ("torch", "torchvision", "pandas", "scipy", "sklearn", "matplotlib", "seaborn", "PIL")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


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


@pytest.mark.parametrize(
    ("environment", "parts"),
    [
        ("train", {"datasets", "splits", "models", "optim", "starts", "engine", "checkpoint"}),
        ("train", {"tickets", "views", "stages", "training", "pruning", "calibration"}),
        ("train", {"costs", "jobs", "forkserver", "columns", "computing", "spec", "streams"}),
        ("train", {"telemetry", "connectivity", "observation", "tables"}),
        ("train", {"cadence", "quantities"}),
        ("budget", {"errors", "files", "spec", "costs", "layout", "study", "jobs"}),
        ("analysis", {"stats", "summary", "claims", "figures", "metrics"}),
        ("analysis", {"preview", "cadence", "spec"}),
    ],
)
def test_an_environment_holds_what_its_jobs_import(environment, parts):
    entries = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())["dependencies"]
    (pinned,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    held = {canonical(line)[0] for line in pinned}
    packages = {"PIL": "pillow", "sklearn": "scikit-learn"}
    for name in NAMES:
        if name.split(".")[0] in parts:
            tops = {target.split(".")[0] for target, _ in imports(name)}
            needed = tops - {"plasticity"} - set(sys.stdlib_module_names)
            assert {packages.get(top, top) for top in needed} <= held, name
