"""Reads tests/golden/wire: examples of every struct on the wire, each as a small change of one base.

A case has the whole `value`, or changes the file's `base`: `remove` and then `set` take JSON pointers (RFC 6901).
`{"repeat": x, "times": n}` stands for a string or list repeated n times, after an optional `prefix`.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

GOLDEN: Final = Path(__file__).parent / "golden" / "wire"
FILES: Final = sorted(GOLDEN.glob("*.json"))


def examples(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return the `valid` or `invalid` cases of a file, each with its `name` and whole `value`."""
    data = json.loads(path.read_text())
    return [{**case, "value": _value(data["base"], case)} for case in data[kind]]


def shape(path: Path) -> str:
    """Return the name of the struct that a file has examples of."""
    return str(json.loads(path.read_text())["shape"])


def _value(base: Any, case: dict[str, Any]) -> Any:
    if "value" in case:
        return _expanded(case["value"])
    value = copy.deepcopy(_expanded(base))
    for pointer in case.get("remove", []):
        holder, key = _place(value, pointer)
        del holder[key]
    for pointer, item in case.get("set", {}).items():
        holder, key = _place(value, pointer)
        holder[key] = _expanded(item)
    return value


def _place(value: Any, pointer: str) -> tuple[Any, str | int]:
    """Return the object or list that holds what a pointer names, and its key there."""
    *owners, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for owner in owners:
        value = value[int(owner) if isinstance(value, list) else owner]
    return value, int(last) if isinstance(value, list) else last


def _expanded(item: Any) -> Any:
    if isinstance(item, dict) and {"repeat", "times"} <= item.keys():
        repeated: Any = _expanded(item["repeat"]) * item["times"]
        return f"{item['prefix']}{repeated}" if "prefix" in item else repeated
    if isinstance(item, dict):
        return {key: _expanded(each) for key, each in item.items()}
    if isinstance(item, list):
        return [_expanded(each) for each in item]
    return item
