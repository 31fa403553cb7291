"""Damage to files, for tests of what is said of it."""

from __future__ import annotations

from hypothesis import strategies as st


def flipped(data: st.DataObject, good: bytes) -> bytes:
    """The bytes of a file of tensors with one of them changed, drawn from `data`.

    Half of the file is header: both halves are damaged equally often.
    """
    header = 8 + int.from_bytes(good[:8], "little")
    position = data.draw(st.integers(0, header - 1) | st.integers(header, len(good) - 1))
    damaged = bytearray(good)
    damaged[position] ^= data.draw(st.integers(1, 255))
    return bytes(damaged)
