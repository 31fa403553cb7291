"""The digest of a Python file: of its tokens without comments, docstrings and layout.

    python plasticity/pipeline/tokens.py FILE...

It is the same on every Python from 3.11 on: only the text of tokens is hashed, nothing that an
interpreter prints. Layout is what says nothing to Python: blank lines, the width of an indent,
where a line is broken within brackets. This file needs the standard library alone.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from tokenize import DEDENT, INDENT, NEWLINE, OP, STRING, TokenInfo

SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER, tokenize.ENCODING}
MARKS = {NEWLINE: "\n", INDENT: "\t", DEDENT: "\b"}
"""What stands for the layout that counts. No other token is written so."""

# Python 3.12 and later take an f-string apart, 3.14 and later a t-string; 3.11 does not.
BEGINS = {getattr(tokenize, f"{kind}STRING_START", -1) for kind in "FT"}
ENDS = {getattr(tokenize, f"{kind}STRING_END", -1) for kind in "FT"}


def digest_of(source: str) -> str:
    """The digest of a file with this `source`; raises `SyntaxError` where it is not Python."""
    text = "".join(f"{len(token)} {token}" for token in significant(source))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def significant(source: str) -> list[str]:
    """The tokens that count, those of layout as their `MARKS`."""
    found: list[str] = []
    statement: list[TokenInfo] = []
    for token in _whole(source):
        if token.type in MARKS or (token.type == OP and token.string == ";"):
            if not all(map(_is_text, statement)):
                found += [part.string for part in statement]
                found.append("\n")
            statement = []
            if token.type in (INDENT, DEDENT):
                found.append(MARKS[token.type])
        elif token.type not in SILENT:
            statement.append(token)
    return found


def read(path: str | Path) -> str:
    """The source in `path`, in the encoding that it declares, with any line ends as newlines."""
    with tokenize.open(path) as file:
        return file.read()


def _is_text(token: TokenInfo) -> bool:
    """Whether it is a string that nothing is computed for: a statement of these is a docstring."""
    prefix = token.string[: len(token.string) - len(token.string.lstrip("rRuUbBfFtT"))].lower()
    return token.type == STRING and not {"f", "t"} & {*prefix}


def _whole(source: str) -> Iterator[TokenInfo]:
    """The tokens of `source`, each formatted string as one, as it is written."""
    depth, begin = 0, (0, 0)
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in BEGINS:
                begin = begin if depth else token.start
                depth += 1
            elif token.type in ENDS:
                depth -= 1
                if not depth:
                    text = _between(source, begin, token.end)
                    yield TokenInfo(STRING, text, begin, token.end, token.line)
            elif not depth:
                yield token
    except tokenize.TokenError as error:
        raise SyntaxError(str(error)) from error


def _between(source: str, begin: tuple[int, int], end: tuple[int, int]) -> str:
    """What is written from `begin` to `end`, each a line from 1 and a column from 0."""
    lines = source.split("\n")[begin[0] - 1 : end[0]]
    lines[-1] = lines[-1][: end[1]]
    lines[0] = lines[0][begin[1] :]
    return "\n".join(lines)


def main(paths: Iterable[str]) -> None:
    """Print the digest of each of `paths` and its name."""
    for path in paths:
        print(digest_of(read(path)), path)


if __name__ == "__main__":
    main(sys.argv[1:])
