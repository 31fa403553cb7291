"""The settings described: a page of documentation, and a JSON schema for editors.

    python -m plasticity.study.describe     writes docs/configuration.md and docs/config.schema.json

Both are made of the descriptions that stand with the settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plasticity.study.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"

Schema = Mapping[str, Any]

HEAD = """\
# The configuration

Every setting. `config.yaml` holds the paper's study and says why each value is what it is; a file
behind `--configfile`, such as those in `studies/`, overlays it: maps merge key by key, and lists
replace one another. Settings that are not in `config.yaml` have the default that is named here. A
key that is misspelt, of another kind or without a use is refused before anything runs.

Editors that know YAML complete and check these files by
[config.schema.json](config.schema.json): they find it by the first line of a file, such as
`# yaml-language-server: $schema=docs/config.schema.json`. The words of paths, such as networks and
starts, are listed by `snakemake words`.

<!-- Made by `python -m plasticity.study.describe`: change plasticity/study/settings.py instead. -->
"""


def schema() -> dict[str, Any]:
    """The JSON schema of a configuration or an overlay of one, which has any part of it."""
    found: dict[str, Any] = _partial(Settings.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _partial(value: Any) -> Any:
    """`value` without what every configuration has to hold, and without names made of keys."""
    if isinstance(value, list):
        return [_partial(one) for one in value]
    if not isinstance(value, dict):
        return value
    left_out = {"required"} | ({"title"} if isinstance(value.get("title"), str) else set())
    return {key: _partial(one) for key, one in value.items() if key not in left_out}


def page() -> str:
    """The page of documentation, in Markdown."""
    whole = Settings.model_json_schema()
    sections = {"": whole, **whole["$defs"]}
    names = {name: _places(whole, name) for name in whole["$defs"]}
    parts = [HEAD]
    for name, section in sections.items():
        if name:
            parts.append(f"## {names[name]}\n\n{section['description']}\n")
        parts.append("\n".join(_table(section, names)) + "\n")
    return "\n".join(parts)


def _places(whole: Schema, name: str) -> str:
    """The keys below which the section `name` of settings stands."""
    keys = [key for key, one in whole["properties"].items() if f'/{name}"' in json.dumps(one)]
    maps = ["additionalProperties" in whole["properties"][key] for key in keys]
    places = [f"`{key}{'.<name>' * is_map}`" for key, is_map in zip(keys, maps, strict=True)]
    if places:
        return ", ".join(places)
    # Within another section.
    outer, key = next(
        (outer, key)
        for outer, section in whole["$defs"].items()
        for key, one in section["properties"].items()
        if f'/{name}"' in json.dumps(one)
    )
    return f"{_places(whole, outer)[:-1]}.{key}`"


def _table(section: Schema, names: Mapping[str, str]) -> Iterator[str]:
    yield "| key | what it may be | if left out | what it is |"
    yield "| --- | --- | --- | --- |"
    for key, one in section["properties"].items():
        default = "" if key in section.get("required", ()) else _default(one)
        yield f"| `{key}` | {_kind(one, names)} | {default} | {one['description']} |"


def _default(one: Schema) -> str:
    default = one.get("default")
    return "" if default in (None, {}) or isinstance(default, dict) else f"`{json.dumps(default)}`"


def _kind(one: Schema, names: Mapping[str, str]) -> str:
    """What a value may be, in words."""
    if "$ref" in one:
        return f"see {names[one['$ref'].rpartition('/')[2]]}"
    if "enum" in one:
        return " or ".join(f"`{value}`" for value in one["enum"])
    if "anyOf" in one:
        kinds = [_kind(part, names) for part in one["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    match one.get("type"):
        case "array":
            return f"a list: {_kind(one['items'], names)}"
        case "object":
            inner = one.get("additionalProperties")
            return f"names, each with: {_kind(inner if isinstance(inner, dict) else {}, names)}"
        case "integer":
            least = one.get("minimum")
            return "a whole number" + (f" of at least {least}" if least is not None else "")
        case "number":
            return "a number"
        case "boolean":
            return "true or false"
        case "string":
            return "text"
    return "anything"


def files() -> dict[Path, str]:
    """The text of each file that is made of the descriptions."""
    text = json.dumps(schema(), indent=2, ensure_ascii=False)
    return {DOCS / "configuration.md": page(), DOCS / "config.schema.json": f"{text}\n"}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
