"""What the pages of HTML have in common: their frame, and that what is filled in is escaped."""

from __future__ import annotations

from jinja2 import DictLoader, Environment, StrictUndefined, Template

FRAME = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #222; }
table { border-collapse: collapse; }
th, td { text-align: right; padding: .3em .8em; border-bottom: 1px solid #ddd; }
{% block style %}{% endblock %}
</style>
{% block body %}{% endblock %}
</html>
"""
"""A page by its `title`, and the blocks ``style`` and ``body`` of the template that extends it."""


def template(text: str) -> Template:
    """The template `text`, which begins with ``{% extends "frame" %}``.

    Templates are constants beside the code that fills them in, so that they count as code where a
    change of code makes results outdated.
    """
    environment = Environment(
        loader=DictLoader({"frame": FRAME}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(text)
