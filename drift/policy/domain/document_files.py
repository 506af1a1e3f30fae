"""Policy documents as JSON or YAML files. Reading a written file returns the same document."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

from sensor.policy.cli import UnreadableError, parse_json

FORMATS: Final = ("json", "yaml")
MAX_DEPTH: Final = 32
"""A document has nine levels. A much deeper file would overflow the stack."""


def file_format(name: str) -> str | None:
    """Return the format of a file by its extension; None without a known one (`-`, a pipe)."""
    extension = name.rpartition(".")[2].lower()
    return {"json": "json", "yaml": "yaml", "yml": "yaml"}.get(extension)


def parse(data: bytes, kind: str | None = None) -> Any:
    """Return the value in a file's bytes; without a `kind`, as JSON if they begin with `{`. Raises UnreadableError.

    Duplicate keys are rejected in both formats. YAML has only JSON's types (YAML 1.2, core schema): `no` and dates are
    strings, and so are fractions, which documents do not have. Anchors and tags are rejected.
    """
    kind = kind or ("json" if data.lstrip().startswith(b"{") else "yaml")
    return parse_json(data, unique_keys=True) if kind == "json" else _parse_yaml(data)


def write(document: Any, kind: str) -> str:
    """Return a JSON value as a file's content, keys in their order. `parse` returns the same value."""
    if kind == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    text: str = yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=120)
    return text


def _parse_yaml(data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig")
        _reject_bombs(text)
        return yaml.load(text, Loader=_Reader)  # noqa: S506 - a safe loader with fewer types
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableError(f"not YAML: {' '.join(str(error).split())}") from error


def _reject_bombs(text: str) -> None:
    """Reject anchors, with which a small file expands to a huge document, and deep nesting. Raises UnreadableError."""
    depth = 0
    for event in yaml.parse(text, Loader=_FAST):
        if getattr(event, "anchor", None) is not None:
            raise UnreadableError("anchors and aliases are not allowed")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise UnreadableError("nested too deeply")


_FAST: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C loader if PyYAML was built with it: it reads a thousand rules a second faster."""


class _Reader(_FAST):  # type: ignore[misc]
    """Loads only JSON's types."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - how PyYAML declares them
    yaml_constructors: dict[str, Any] = {}  # noqa: RUF012

    def mapping(self, node: Any) -> dict[str, Any]:
        """Return an object, whose keys must be different strings."""
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in found:
                problem = "duplicate key" if isinstance(key, str) else "a key that is not a string"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            found[key] = self.construct_object(value_node, deep=True)
        return found

    def sequence(self, node: Any) -> list[Any]:
        """Return a list."""
        return [self.construct_object(child, deep=True) for child in node.value]

    def unknown(self, node: Any) -> Any:
        """Reject a tag of any other type."""
        raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag} is not allowed", node.start_mark)


def _resolve(kind: str, pattern: str, first: str, make: Any) -> None:
    tag = f"tag:yaml.org,2002:{kind}"
    _Reader.add_implicit_resolver(tag, re.compile(rf"^(?:{pattern})$"), list(first))
    _Reader.add_constructor(tag, lambda reader, node: make(node.value))


_resolve("null", "~|null|", "~n", lambda _: None)
_Reader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])
_resolve("bool", "true|false", "tf", lambda text: text == "true")
_resolve("int", "-?(?:0|[1-9][0-9]{0,17})", "-0123456789", int)
_Reader.add_constructor("tag:yaml.org,2002:str", lambda reader, node: node.value)
_Reader.add_constructor("tag:yaml.org,2002:map", _Reader.mapping)
_Reader.add_constructor("tag:yaml.org,2002:seq", _Reader.sequence)
_Reader.add_constructor(None, _Reader.unknown)


class _Writer(yaml.SafeDumper):
    """Writes equal lists twice instead of with an alias, which `parse` rejects."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True for every value."""
        return True


def _string(writer: _Writer, string: str) -> Any:
    # Line breaks that only Unicode has are read back as spaces unless they are escaped.
    style = '"' if re.search("[\x85\u2028\u2029]", string) else None
    return writer.represent_scalar("tag:yaml.org,2002:str", string, style=style)


_Writer.add_representer(str, _string)
