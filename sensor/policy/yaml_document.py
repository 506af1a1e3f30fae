"""Policy documents in YAML: JSON's types only, bounded in depth and number, never a tag that makes an object.

The one module of this package that needs more than the standard library (PyYAML): nothing imports it until a document
is YAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml

from sensor.policy.document_errors import UnreadableError
from sensor.policy.document_lines import Mark, MarkKind

MAX_DEPTH: Final = 32
"""A document has nine levels."""
MAX_EVENTS: Final = 1_000_000
"""A thousand rules with a hundred values and a hundred allowed entries each have 750,000: about a second."""


def parse_yaml(data: bytes) -> Any:
    """Return the value of YAML in UTF-8. Raises UnreadableError.

    YAML has only JSON's types here, spelled alike: `no`, `True` and dates are strings, and so are fractions, which
    documents do not have. Anchors, tags and duplicate keys are rejected.
    """
    try:
        return _Builder(data.decode("utf-8-sig")).value()
    except UnreadableError:
        raise
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableError(f"not YAML: {' '.join(str(error).split())}") from error


def yaml_marks(data: bytes) -> Iterator[Mark]:
    """Yield what a document that `parse_yaml` accepts consists of, with its lines."""
    event: Any
    for event in yaml.parse(data.decode("utf-8-sig"), Loader=_FAST):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            yield Mark(MarkKind.SCALAR, line, event.value)
        elif isinstance(event, yaml.CollectionEndEvent):
            yield Mark(MarkKind.END, line)
        elif isinstance(event, yaml.CollectionStartEvent):
            yield Mark(MarkKind.OBJECT if isinstance(event, yaml.MappingStartEvent) else MarkKind.LIST, line)


_FAST: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C parser if PyYAML was built with it: it reads a thousand rules a second faster."""
_STRING: Final = "tag:yaml.org,2002:str"
_COLLECTION_TAGS: Final = {
    yaml.MappingStartEvent: (None, "!", "tag:yaml.org,2002:map"),
    yaml.SequenceStartEvent: (None, "!", "tag:yaml.org,2002:seq"),
}
_SCALARS: Final[dict[str, tuple[re.Pattern[str], Callable[[str], Any]]]] = {
    "tag:yaml.org,2002:null": (re.compile("|~|null"), lambda _: None),
    "tag:yaml.org,2002:bool": (re.compile("true|false"), lambda text: text == "true"),
    "tag:yaml.org,2002:int": (re.compile("-?(?:0|[1-9][0-9]{0,17})"), int),
}
_BY_FIRST: Final = {
    first: _SCALARS[f"tag:yaml.org,2002:{kind}"]
    for kind, firsts in {"null": ["", "~", "n"], "bool": ["t", "f"], "int": list("-0123456789")}.items()
    for first in firsts
}
"""The only type that a plain scalar can have by its first character, but for a string."""
_NO_KEY: Final = object()


class _Builder:
    """Builds the value straight from the parser's events, in one pass that stops at the first excess.

    PyYAML's own loader would build a tree of nodes first, of any size and depth, and takes five times as long.
    """

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=_FAST)
        self._count = 0

    def value(self) -> Any:
        """Return the only document's value; None of an empty file. Raises UnreadableError, YAMLError."""
        self._next(yaml.StreamStartEvent)
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        found = self._document()
        self._next(yaml.DocumentEndEvent)
        following = self._next()
        if not isinstance(following, yaml.StreamEndEvent):
            raise _problem("only one document is allowed", following)
        return found

    def _next(self, expected: type[yaml.Event] = yaml.Event) -> Any:
        self._count += 1
        if self._count > MAX_EVENTS:
            raise UnreadableError(f"more than {MAX_EVENTS:,} values, which no valid document has")
        event = next(self._events)
        if not isinstance(event, expected):
            raise _problem("unexpected content", event)
        return event

    def _document(self) -> Any:
        """Return the value that follows. Without recursion: `open_` holds the collections around what comes next."""
        root: list[Any] = []
        open_: list[Any] = [root]
        keys: list[Any] = [_NO_KEY]
        while True:
            event = self._next()
            if getattr(event, "anchor", None) is not None:
                raise UnreadableError("anchors and aliases are not allowed")
            if isinstance(event, yaml.CollectionEndEvent):
                open_.pop()
                keys.pop()
            else:
                value = _scalar(event) if isinstance(event, yaml.ScalarEvent) else _collection(event)
                _add(open_[-1], keys, value, event)
                if isinstance(value, (dict, list)):
                    open_.append(value)
                    keys.append(_NO_KEY)
            if len(open_) > MAX_DEPTH:
                raise UnreadableError("nested too deeply")
            if len(open_) == 1:
                return root[0]


def _add(parent: Any, keys: list[Any], value: Any, event: Any) -> None:
    """Add a value to a list, or to an object as its next key or the value of that key."""
    if isinstance(parent, list):
        parent.append(value)
    elif keys[-1] is not _NO_KEY:
        parent[keys[-1]], keys[-1] = value, _NO_KEY
    elif not isinstance(value, str):
        raise _problem("a key that is not a string", event)
    elif value in parent:
        raise _problem("duplicate key", event)
    else:
        keys[-1] = value


def _scalar(event: Any) -> Any:
    """Return a scalar's value: JSON's types where it is plain, else a string."""
    tag, text = event.tag, event.value
    if tag in (None, "!"):
        possible = _BY_FIRST.get(text[:1]) if event.implicit[0] else None
        return possible[1](text) if possible and possible[0].fullmatch(text) else text
    if tag == _STRING:
        return text
    pattern, make = _SCALARS.get(tag, (None, None))
    if pattern is None or make is None:
        raise _problem(f"the tag {tag} is not allowed", event)
    if not pattern.fullmatch(text):
        raise _problem(f"not a value of the tag {tag}", event)
    return make(text)


def _collection(event: Any) -> Any:
    """Return an empty object or list for its start."""
    allowed = _COLLECTION_TAGS.get(type(event))
    if allowed is None:
        raise _problem("unexpected content", event)
    if event.tag not in allowed:
        raise _problem(f"the tag {event.tag} is not allowed", event)
    return {} if isinstance(event, yaml.MappingStartEvent) else []


def _problem(text: str, event: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, text, event.start_mark)
