"""The one kind of error that a user is meant to read, and how it shows what the user gave."""

from __future__ import annotations

import reprlib

LONGEST = 400
"""Characters of a text that a message repeats: a lineage of some ten stages, still readable."""


class UserError(Exception):
    """A mistake in what was asked for or in what was found on disk.

    The message stands on its own: it names the key, path or file, says what was expected and what
    to do. Whoever catches it prints the message alone, without a traceback.
    """


class PlaceError(UserError):
    """A mistake of the place and not of what was asked for: a full disk, a machine without a GPU.

    The same may work elsewhere or later, so that it is worth another attempt.
    """


class _Shown(reprlib.Repr):
    """Python's own writing, of bounded length and depth.

    What a configuration holds may be a text of megabytes, a list that holds itself, or one of
    aliases within aliases, which would be written out as billions of words.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = LONGEST
        self.maxlong = 60
        self.maxlevel = 3

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write whole numbers of more than 4,300 digits.
        long = x.bit_length() > 1000
        return "a number of more than 300 digits" if long else super().repr_int(x, level)


_SHOWN = _Shown()


def shown(value: object) -> str:
    """`value` as a message repeats it: like ``repr``, but never long and never an error."""
    text = _SHOWN.repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def named(key: object) -> str:
    """`key` as a message names it: as it is, or as `shown` where that cannot be read."""
    text = key if isinstance(key, str) else shown(key)
    return text if text.isprintable() and 0 < len(text) <= LONGEST else shown(text)
