"""Messages on what is wrong in a configuration."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from plasticity.core.errors import named, shown
from plasticity.runs.bounds import MOST_FINDINGS, MOST_LISTED
from plasticity.runs.values import describe


def unknown(key: str, kind: str, name: str, known: Mapping[str, Any]) -> str:
    """The message for a `name` under `key` that is none of the `known`."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    listed = [*islice(known, MOST_LISTED), "..."] if len(known) > MOST_LISTED else known
    return f"{key}: unknown {kind} {shown(name)}; expected one of {', '.join(listed)}{hint}"


def explain(error: ValidationError, sections: Mapping[str, type[BaseModel]]) -> str:
    """Pydantic's findings as messages that name the key, what was expected and what to do.

    `sections` are the models below the keys of the configuration, and that of all of it below "".
    """
    own = {key for name, model in sections.items() if name for key in model.model_fields}
    lines = []
    for finding in error.errors():
        key = ".".join(map(named, _location(finding["loc"])))
        # The hint on how YAML reads numbers is for where a number belongs.
        numeric = finding["type"].startswith(("int", "float"))
        given = describe(finding["input"]) if numeric else shown(finding["input"])
        match finding["type"]:
            case "extra_forbidden":
                *above, last = finding["loc"]
                place = ".".join(map(named, above)) or "configuration"
                lines.append(
                    unknown(place, "key", str(last), _known_keys(finding["loc"], sections))
                )
            case "missing":
                lines.append(f"{key}: missing; add it to the configuration")
            case "literal_error":
                lines.append(f"{key}: expected {finding['ctx']['expected']}, got {given}")
            case "value_error":
                message = str(finding["ctx"]["error"])
                # What a validator has found deeper down names its own key.
                word = re.split(r"[.:]", message)[0]
                if not key or message.startswith(f"{key}."):
                    lines.append(message)
                else:
                    link = "." if word in own else ": "
                    lines.append(f"{key}{link}{message}")
            case "model_type":
                lines.append(f"{key}: expected keys with values, got {given}")
            case "list_type":
                lines.append(f"{key}: expected a list, such as [0, 1, 2], got {given}")
            case _:
                message = finding["msg"].replace("Input should be", "expected")
                lines.append(f"{key or 'configuration'}: {message}, got {given}")
    lines = list(dict.fromkeys(lines))
    if len(lines) > MOST_FINDINGS:
        lines[MOST_FINDINGS:] = [f"and {len(lines) - MOST_FINDINGS} more"]
    return "\n".join(lines)


def _location(parts: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where something was found, without what pydantic adds: marks of keys, branches of unions."""
    branch = len(parts) > 1 and isinstance(parts[-2], int) and parts[-1] in ("int", "float", "str")
    return parts[:-1] if branch or parts[-1:] == ("[key]",) else parts


def _known_keys(
    location: tuple[int | str, ...], sections: Mapping[str, type[BaseModel]]
) -> dict[str, Any]:
    within = str(location[0]) if len(location) > 1 else ""
    deeper = f"{within}.{location[2]}" if len(location) > 3 else within
    return dict(sections.get(deeper, sections.get(within, sections[""])).model_fields)
