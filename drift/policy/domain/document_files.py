"""Policy documents as JSON or YAML files: read without surprises, written so that they read back the same."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

from sensor.policy.cli import UnreadableError, parse_json

FORMATS: Final = ("json", "yaml")
DEEPEST: Final = 32
"""A document is nine levels deep; a file far beyond that would only fill the stack."""


def file_format(name: str) -> str | None:
    """The format that a file's name promises; None where it promises none (`-`, a pipe)."""
    ending = name.rpartition(".")[2].lower()
    return {"json": "json", "yaml": "yaml", "yml": "yaml"}.get(ending)


def parse(data: bytes, kind: str | None = None) -> Any:
    """The value in a file's bytes; without a `kind`, JSON where they begin like an object. Raises UnreadableError.

    A key twice in one object is refused in both formats. YAML is read as JSON's types alone (YAML 1.2, core
    schema): `no` and dates stay texts, and so do fractions, which no document has; anchors and tags are refused.
    """
    kind = kind or ("json" if data.lstrip().startswith(b"{") else "yaml")
    return parse_json(data, unique_keys=True) if kind == "json" else _parse_yaml(data)


def write(document: Any, kind: str) -> str:
    """A JSON value as text, ending in a line break, in the order that it has; `parse` gives the value back."""
    if kind == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    text: str = yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=120)
    return text


def _parse_yaml(data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig")
        _refuse_tricks(text)
        return yaml.load(text, Loader=_Reader)  # noqa: S506 - a safe loader with fewer types
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableError(f"not YAML: {' '.join(str(error).split())}") from error


def _refuse_tricks(text: str) -> None:
    """Anchors, by which a small file becomes a huge document, and nesting that no document has."""
    depth = 0
    for event in yaml.parse(text, Loader=_FAST):
        if getattr(event, "anchor", None) is not None:
            raise UnreadableError("anchors and aliases are not allowed")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise UnreadableError("nested too deeply")


_FAST: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C where PyYAML was built with it: a thousand rules take a second less."""


class _Reader(_FAST):  # type: ignore[misc]
    """JSON's types and nothing else."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the library's own way
    yaml_constructors: dict[str, Any] = {}  # noqa: RUF012

    def mapping(self, node: Any) -> dict[str, Any]:
        """An object, all of whose keys are texts and different."""
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in found:
                said = "the same key twice" if isinstance(key, str) else "a key that is no text"
                raise yaml.constructor.ConstructorError(None, None, said, key_node.start_mark)
            found[key] = self.construct_object(value_node, deep=True)
        return found

    def sequence(self, node: Any) -> list[Any]:
        """A list."""
        return [self.construct_object(child, deep=True) for child in node.value]

    def unknown(self, node: Any) -> Any:
        """A tag that stands for none of JSON's types."""
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
    """Never an alias: two equal lists are two lists."""

    def ignore_aliases(self, data: Any) -> bool:
        """True for everything."""
        return True


def _text(writer: _Writer, text: str) -> Any:
    """Line breaks that only Unicode knows are read back as blanks unless they are escaped."""
    style = '"' if re.search("[\x85\u2028\u2029]", text) else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Writer.add_representer(str, _text)
