"""Registries with words of one test, which are forgotten afterwards."""

from contextlib import contextmanager

import pytest


@contextmanager
def with_own_words(*registries):
    """What is declared in here in `registries` is forgotten at the end."""
    with pytest.MonkeyPatch.context() as patched:
        for registry in registries:
            patched.setattr(registry, "_members", dict(registry.members))
        yield
    for registry in registries:
        registry.parse.cache_clear()
        registry.read.cache_clear()
