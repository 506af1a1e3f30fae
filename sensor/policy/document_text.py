"""The bytes of a policy document: JSON, or YAML where PyYAML is installed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from sensor.policy.document_errors import UnreadableError
from sensor.policy.document_lines import LineFinder, json_marks

YAML_NEEDED: Final = "YAML needs the package PyYAML (pip install pyyaml); JSON needs nothing"


def file_format(name: str) -> str | None:
    """Return the format of a file by its extension; None without a known one (`-`, a pipe)."""
    extension = name.rpartition(".")[2].lower()
    return {"json": "json", "yaml": "yaml", "yml": "yaml"}.get(extension)


def parse_document(data: bytes, kind: str | None = None) -> Any:
    """Return the value in a file's bytes; without a `kind`, as JSON if they begin with `{`. Raises UnreadableError.

    Duplicate keys are rejected in both formats.
    """
    if _kind(data, kind) == "json":
        return parse_json(data, unique_keys=True)
    try:
        from sensor.policy.yaml_document import parse_yaml
    except ModuleNotFoundError:
        raise UnreadableError(YAML_NEEDED) from None
    return parse_yaml(data)


def document_lines(data: bytes, kind: str | None, places: Iterable[str]) -> LineFinder:
    """Return the lines of these places (`rules[0].action`) in a document that `parse_document` has read."""
    if _kind(data, kind) == "json":
        return LineFinder(json_marks(data.decode()), places)
    from sensor.policy.yaml_document import yaml_marks

    return LineFinder(yaml_marks(data), places)


def _kind(data: bytes, kind: str | None) -> str:
    return kind or ("json" if data.lstrip().startswith(b"{") else "yaml")


def parse_json(data: bytes, *, unique_keys: bool = False) -> Any:
    """Return the value of JSON in UTF-8. Raises UnreadableError.

    `unique_keys` rejects an object that has a key twice: JSON readers disagree on which one counts.
    """
    try:
        text = data.decode("utf-8")
        hook = _unique if unique_keys else None
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=hook)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise UnreadableError("nested too deeply") from error
    except ValueError as error:
        raise UnreadableError(f"not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
