"""An event cut to the bounds of the wire, so that no portal ever refuses it for its size.

An attacker chooses argv, paths and labels. Whatever they are, the event is sent: text that is too
long loses its tail, and the event says so (`truncated`, `process.argv_truncated`).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from sensor.names.escaping import safe_text
from sensor.wire import MAX_EVENT_BYTES, Event, WireError, decode_event

if TYPE_CHECKING:
    from collections.abc import Callable

SHORT: Final = 256
"""Characters that are left of a detail once the event as a whole is too long."""


def truncated(event: Event) -> Event:
    """The same event within every bound of WIRE, at most 32 KiB as JSON.

    Returns `event` itself where nothing had to be cut. Never raises for what a process may be
    called or run with. Detail goes first (ancestors, argv, folders), what the policy looks at last.
    """
    if is_within_bounds(event):
        return event
    bounded: dict[str, Any] = _bound(_type_of_event(), msgspec.to_builtins(event))
    cut = bounded != msgspec.to_builtins(event)
    for shorten in _STEPS:
        if len(msgspec.json.encode(bounded)) <= MAX_EVENT_BYTES - _ROOM_FOR_FLAG:
            break
        shorten(bounded)
        cut = True
    bounded["truncated"] = event.truncated or cut
    return msgspec.convert(bounded, Event)


def is_within_bounds(event: Event) -> bool:
    """Whether the portal would take the event as it is."""
    try:
        decode_event(msgspec.json.encode(event))
    except (WireError, UnicodeEncodeError):
        return False
    return True


_ROOM_FOR_FLAG: Final = len('"truncated":false,')


@functools.cache
def _type_of_event() -> inspect.Type:
    return inspect.type_info(Event)


def _bound(kind: inspect.Type, value: Any) -> Any:
    """`value` (plain JSON types) with every text, list, object and number cut to its type's bounds."""
    bound = _BOUNDS.get(type(kind))
    return bound(kind, value) if bound and value is not None else value


def _bound_text(kind: Any, value: str) -> str:
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
    """Every union of WIRE is one type or null."""
    return _bound(next(each for each in kind.types if not isinstance(each, inspect.NoneType)), value)


_BOUNDS: Final[dict[type, Callable[[Any, Any], Any]]] = {
    inspect.StrType: _bound_text,
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
    process["argv"] = [item[:SHORT] for item in process["argv"][:4]]
    process["argv_truncated"] = True


def _shorten_paths(event: dict[str, Any]) -> None:
    """All paths but the drifted file's own, which the policy looks at."""
    process = event["process"]
    others = [(process[owner], "path") for owner in ("parent", "written_by")]
    for owner, name in ((process, "cwd"), (process, "via"), (process, "copy_of"), *others):
        if owner and owner[name]:
            owner[name] = owner[name][:SHORT]


def _shorten_labels(event: dict[str, Any]) -> None:
    """As many labels, in their order, as 6 KiB hold."""
    left, kept = 6 * 1024, {}
    for key, value in event["container"]["pod_labels"].items():
        left -= len(msgspec.json.encode({key: value}))
        if left < 0:
            break
        kept[key] = value
    event["container"]["pod_labels"] = kept


def _shorten_path(event: dict[str, Any]) -> None:
    """The file name stays whole: allow lists name it."""
    path = event["process"]["path"]
    event["process"]["path"] = path[: SHORT * 2] + path[-SHORT * 2 :] if len(path) > SHORT * 4 else path


def _shorten_everything(event: dict[str, Any]) -> None:
    """Last resort: nothing else is this long unless somebody means harm. Digests and ids stay whole."""
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
