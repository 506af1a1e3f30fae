"""Cuts an event to the bounds of the wire (docs/wire.md#bounds), so that a portal never rejects it for its size.

An attacker chooses argv, paths and labels. Whatever they are, the event is sent: strings that are too long lose their
end, and the event is flagged (`truncated`, `process.argv_truncated`).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from sensor.names.escaping import safe_text
from sensor.policy.properties import TABLE
from sensor.wire import MAX_EVENT_BYTES, Event, WireError, decode_event

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOKED_AT: Final = {path.replace("?", "") for each in TABLE for path in each.event}
SHORTENED: Final = 256
"""Characters left of a detail once the event as a whole is too long."""


def truncated(event: Event) -> Event:
    """Return the event within every bound of the wire, at most 32 KiB as JSON; `event` itself where it already is.

    Never raises for any name or argument of a process. Detail is cut first (ancestors, argv, directories), what the
    policy looks at last.
    """
    if is_within_bounds(event):
        return event
    bounded: dict[str, Any] = _bound(_event_type(), msgspec.to_builtins(event))
    cut = bounded != msgspec.to_builtins(event)
    for shorten in _STEPS:
        if len(msgspec.json.encode(bounded)) <= MAX_EVENT_BYTES - _ROOM_FOR_FLAG:
            break
        shorten(bounded)
        cut = True
    bounded["truncated"] = event.truncated or cut
    return msgspec.convert(bounded, Event)


def is_within_bounds(event: Event) -> bool:
    """Return whether the portal accepts the event as it is."""
    try:
        decode_event(msgspec.json.encode(event))
    except (WireError, UnicodeEncodeError):
        return False
    return True


_ROOM_FOR_FLAG: Final = len('"truncated":false,')


@functools.cache
def _event_type() -> inspect.Type:
    return inspect.type_info(Event)


def _bound(kind: inspect.Type, value: Any) -> Any:
    """Return `value` (plain JSON types) with every string, list, object and number cut to its type's bounds."""
    bound = _BOUNDS.get(type(kind))
    return bound(kind, value) if bound and value is not None else value


def _bound_str(kind: Any, value: str) -> str:
    return safe_text(value)[: kind.max_length]


def _bound_int(kind: Any, value: int) -> int:
    low, high = kind.ge, kind.le
    return max(low if low is not None else value, min(value, high if high is not None else value))


def _bound_list(kind: Any, value: list[Any]) -> list[Any]:
    return [_bound(kind.item_type, item) for item in value[: kind.max_length]]


def _bound_dict(kind: Any, value: dict[str, Any]) -> dict[str, Any]:
    items = list(value.items())[: kind.max_length]
    return {_bound(kind.key_type, key): _bound(kind.value_type, item) for key, item in items}


def _bound_struct(kind: Any, value: dict[str, Any]) -> dict[str, Any]:
    return {field.encode_name: _bound(field.type, value.get(field.encode_name)) for field in kind.fields}


def _bound_union(kind: Any, value: Any) -> Any:
    """Return the value bounded by the union's type: every union on the wire is one type or null."""
    return _bound(next(each for each in kind.types if not isinstance(each, inspect.NoneType)), value)


_BOUNDS: Final[dict[type, Callable[[Any, Any], Any]]] = {
    inspect.StrType: _bound_str,
    inspect.IntType: _bound_int,
    inspect.ListType: _bound_list,
    inspect.DictType: _bound_dict,
    inspect.StructType: _bound_struct,
    inspect.UnionType: _bound_union,
}


def _drop_ancestors(event: dict[str, Any]) -> None:
    event["process"]["ancestors"] = []


def _shorten_argv(event: dict[str, Any]) -> None:
    process = event["process"]
    process["argv"] = [item[:SHORTENED] for item in process["argv"][:4]]
    process["argv_truncated"] = True
    if process["entry"]:
        process["entry"] |= {"argv": process["entry"]["argv"][:4], "argv_truncated": True}


def _shorten_paths(event: dict[str, Any]) -> None:
    """Shorten all paths but those that the policy looks at, as the drifted file's own."""
    process = event["process"]
    others = [(process[owner], "path", f"{owner}.path") for owner in ("parent", "written_by")]
    for owner, name, path in (*((process, name, name) for name in ("cwd", "via", "copy_of")), *others):
        if owner and owner[name] and f"process.{path}" not in _LOOKED_AT:
            owner[name] = owner[name][:SHORTENED]


def _shorten_labels(event: dict[str, Any]) -> None:
    """Keep as many labels, in their order, as fit into 6 KiB."""
    left, kept = 6 * 1024, {}
    for key, value in event["container"]["pod_labels"].items():
        left -= len(msgspec.json.encode({key: value}))
        if left < 0:
            break
        kept[key] = value
    event["container"]["pod_labels"] = kept


def _shorten_path(event: dict[str, Any]) -> None:
    """Cut out the middle; the file name stays whole, as allow lists name it."""
    path = event["process"]["path"]
    event["process"]["path"] = path[: SHORTENED * 2] + path[-SHORTENED * 2 :] if len(path) > SHORTENED * 4 else path


def _shorten_everything(event: dict[str, Any]) -> None:
    """Cut every string, as a last resort that only an attack needs. Digests and ids stay whole."""
    path = event["process"]["path"]
    event |= _cut(event)
    event["process"]["path"] = path


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item) for item in value]
    return value[:_LAST_RESORT] if isinstance(value, str) else value


_LAST_RESORT: Final = len("sha256:") + 64

_STEPS: Final = (_drop_ancestors, _shorten_argv, _shorten_paths, _shorten_labels, _shorten_path, _shorten_everything)
