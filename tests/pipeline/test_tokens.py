"""The digest of a file: what counts in it, and that every Python finds the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from plasticity.pipeline import tokens

ROOT = Path(__file__).parents[2]
TOKENS = ROOT / "plasticity" / "pipeline" / "tokens.py"

SAMPLE = r'''# -*- coding: utf-8 -*-
"""Of a module, é."""
from __future__ import annotations
x = 1; y = (2,
   3)  # comment
def f(a: int = 0x_FF) -> str:
    """Of a function,

    over two lines."""
    'another' "one"
    é = f"é{a!r:>{x}} ü{'ß' if a else f'{x}é'} {{}}" f'x{a=}' + "ö"; z = f"é{a}"
    w = rf"""multi é {a}
 line {a:%H:%M} \{x} {x}""" + Rb"x\d".decode() ; return é + \
        f"{a}" f"{'{'}" + w


class A: "of one line"
match = [i for i in y if (i := 3)] if False else lambda *a, **k: ...
async def g(): await z; yield
def only():
  """Nothing."""
if x != 1 and x <= 2 and not x @ 3 // 4 ** 2 >> 1: pass
@f
def h(a, /, b, *, c): return -1.5e-3j
print(f"{x:{y}}", f"""{
    x}""", "\N{BULLET} ' \" ", f"\N{BULLET}{x}", end='')
f"{print(1)}"
last = 1 # no end of line'''

NEWER = r"""x = f"{f"{"a" + 'é'}"} {
    x  # a comment within
    !r:{"w"}} {f'{x:{f"{1}"}}'}" + "b"
"""
"""What Python 3.12 and later read alone: the quotes of a formatted string within it."""

KNOWN = {"sample": "03dad1b131294d9c", "newer": "2b8a24f854ec88b4"}


def pythons() -> list[str]:
    """Every Python from 3.11 on that is found here, each version once."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [sys.executable, *map(str, sorted(root.glob("versions/*/bin/python3")))]
    found += filter(None, (shutil.which(f"python3.{minor}") for minor in range(11, 30)))
    versions = {}
    for python in found:
        said = subprocess.run(
            [python, "--version"], capture_output=True, encoding="utf-8", check=False
        )
        if said.returncode == 0 and (version := re.search(r"3\.(\d+)", said.stdout)):
            versions.setdefault(int(version[1]), python)
    return [python for minor, python in sorted(versions.items()) if minor >= 11]


def told(python: str, *paths: Path) -> list[str]:
    """The digests of `paths` as `python` finds them."""
    done = subprocess.run(
        [python, "-I", TOKENS, *paths], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines()]


def minor_of(python: str) -> int:
    code = "import sys; print(sys.version_info.minor)"
    return int(subprocess.run([python, "-c", code], capture_output=True, check=True).stdout)


@pytest.mark.parametrize("python", pythons())
def test_every_python_finds_the_same(tmp_path: Path, python: str):
    samples = {"sample": SAMPLE}
    if minor_of(python) >= 12:
        samples["newer"] = NEWER
    paths = [tmp_path / f"{name}.py" for name in samples]
    for path, text in zip(paths, samples.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    assert told(python, *paths) == [KNOWN[name] for name in samples]
    library = sorted((ROOT / "plasticity").rglob("*.py"))
    assert told(python, *library) == [tokens.digest_of(tokens.read(path)) for path in library]


# What does not count

CODE = '''"""Of a module."""

import os


class Layer:
    """Of a class."""

    size: int = 3
    """Of a field."""

    def forward(self, images, *, scale=1.0):
        """Of a function."""
        return images.pool(self.size, scale) + f"{scale}"
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import os", "# a comment\nimport os  # and another"),
        ("\n\n\n", "\n\n\n\n\n"),
        ("Of a module.", "Of a module, in other words."),
        ('"""Of a class."""', "'of one'"),
        ('    """Of a class."""\n', ""),
        ("Of a field.", "Of one."),
        ('"""Of a function."""', '"""Of\n\n        two lines."""'),
        ("(self.size, scale)", "(\n            self.size,\n            scale\n        )"),
        ("        ", "          "),
        ("images.pool(self.size, scale) + ", "images.pool(self.size, scale) + \\\n  "),
        ("\n", "\r\n"),
        ("    ", "\t"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(tmp_path: Path, old: str, new: str):
    assert old in CODE
    path = tmp_path / "code.py"
    path.write_bytes(CODE.replace(old, new).encode())
    assert tokens.digest_of(tokens.read(path)) == tokens.digest_of(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3", "4"),
        ("scale=1.0", "scale=1.00"),
        ("self.size, scale", "scale, self.size"),
        ("        return", "    return"),
        ('f"{scale}"', '"{scale}"'),
        ('f"{scale}"', 'f"{scale }"'),
        ("import os", "import os; os.x"),
        ("import os", 'import os\nf"{os}"'),
        ('"""Of a class."""', 'x = """Of a class."""'),
        ("size: int", "size: float"),
        ("images.pool", "images . pools"),
    ],
)
def test_everything_else_counts(old: str, new: str):
    assert old in CODE
    assert tokens.digest_of(CODE.replace(old, new, 1)) != tokens.digest_of(CODE)


def test_a_function_may_have_a_docstring_alone():
    with_doc = 'def f():\n    """Nothing."""\n'
    assert tokens.digest_of(with_doc) == tokens.digest_of(with_doc.replace("ing.", "ing at all."))
    assert tokens.digest_of(with_doc) != tokens.digest_of("")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", '"""Only a docstring."""\n'])
def test_a_file_may_hold_nothing(text: str):
    assert tokens.significant(text) == []


@pytest.mark.parametrize("text", ["def f(:\n  (", "x = '''never closed", "  x\n y"])
def test_what_is_no_python_is_an_error(text: str):
    with pytest.raises(SyntaxError):
        tokens.digest_of(text)


def test_no_two_token_rows_are_written_alike():
    assert tokens.digest_of("a = b c".replace(" c", "")) != tokens.digest_of("a\n=\nb")
    assert tokens.digest_of('x = "1 a"') != tokens.digest_of('x = "1" "a"')
