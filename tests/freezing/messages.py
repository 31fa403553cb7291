"""What the project says to its users: the errors that its tests provoke, and all its sentences."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from freezing.checkouts import Checkout, FreezeError, say

PLUGIN = Path(__file__).with_name("recorder.py")
FOLDER = "FREEZE_MESSAGES"
"""The variable that tells the plugin where to leave what it has recorded."""

# Tests of the machine, of Snakemake from outside (whose messages stay in other processes), of
# documents, and of this tool; and those that take minutes and provoke few messages. `sentences` has
# these as well.
LEFT_OUT = re.compile(
    r"gpu|slurm|workflow|fault|forkserver|benchmark|docs|project|startup|golden|freez|kill"
    r"|budget|claims|figures|preview|digest|devices|recording|cuda|sparse"
)
QUICK = re.compile(
    r"^(?!.*hostile).*(spec|stud(y|ies)|values|grammar|lineage|settings|template|runs?(?=/|\.py))"
)
"""Of what is left, the tests of what configurations and paths may say: many messages in seconds."""


def provoked(checkout: Checkout, *, quick: bool) -> list[str]:
    """The errors for users that the tests make, without what differs between two executions."""
    folder = checkout.scratch / "messages"
    plugins = checkout.scratch / "plugins"
    base = checkout.scratch / "base"
    for made in (folder, plugins):
        made.mkdir()
    shutil.copy(PLUGIN, plugins / "freeze_recorder.py")
    done = checkout.run(
        *("-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "freeze_recorder"),
        *("-p", "no:cacheprovider", f"--basetemp={base}"),
        *chosen(checkout.project, quick=quick),
        environment={FOLDER: str(folder), "PYTHONPATH": str(plugins)},
    )
    # 1: some failed, which others may notice; more: they could not be run.
    if done.returncode not in (0, 1):
        raise FreezeError(f"tests could not be run:\n{done.stdout[-3000:]}")
    for line in done.stdout.splitlines():
        if re.match(r"FAILED|ERROR|\d+ (passed|failed)", line):
            say(line)
    texts = [text for file in folder.iterdir() for text in json.loads(file.read_text())]
    if not texts:
        raise FreezeError(f"the tests recorded no message:\n{done.stdout[-3000:]}")
    return sorted({normalised(text, checkout) for text in texts})


def chosen(project: Path, *, quick: bool) -> list[str]:
    """The files of tests to run, wherever they are below `tests/`."""
    names = sorted(str(path.relative_to(project)) for path in project.glob("tests/**/test_*.py"))
    kept = [name for name in names if not LEFT_OUT.search(name)]
    return [name for name in kept if QUICK.search(name)] if quick else kept


def normalised(text: str, checkout: Checkout) -> str:
    """`text` without temporary folders, digests and addresses."""
    made, project = re.escape(str(checkout.scratch)), re.escape(str(checkout.project))
    # The folder of a test is named after it, and tests may be renamed.
    text = re.sub(rf"{made}/(base/(popen-gw\d+/)?|tmp/)[^/\s:'\",;)]+", "<temporary>", text)
    text = re.sub(project, "<project>", text)
    text = re.sub(r"\b0x[0-9a-f]+\b", "<address>", text)
    return re.sub(r"\b[0-9a-f]{16,}\b", "<digest>", text)


def sentences(project: Path) -> list[str]:
    """Every text of three words or more in the project's Python code, docstrings aside.

    Whatever stands in braces in a formatted text is left out, so that a renamed variable changes
    nothing. Messages that no test provokes are among them.
    """
    found = set()
    for path in sorted(project.rglob("*.py")):
        if path.relative_to(project).parts[0] not in ("tests", "benchmarks"):
            found |= set(_texts(ast.parse(path.read_text())))
    return sorted(text for text in found if len(text.split()) >= 3)


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = [one.value if isinstance(one, ast.Constant) else "{}" for one in node.values]
        yield "".join(map(str, parts))
        for one in node.values:
            if isinstance(one, ast.FormattedValue):
                yield from _texts(one.value)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)
