"""Policy documents as JSON or YAML files. Reading a written file returns the same document."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

FORMATS: Final = ("json", "yaml")


def write(document: Any, kind: str) -> str:
    """Return a JSON value as a file's content, keys in their order. `parse_document` returns the same value."""
    if kind == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    text: str = yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Writer(yaml.SafeDumper):
    """Writes equal lists twice instead of with an alias, which `parse_document` rejects."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True for every value."""
        return True


def _string(writer: _Writer, string: str) -> Any:
    # Line breaks that only Unicode has are read back as spaces unless they are escaped.
    style = '"' if re.search("[\x85\u2028\u2029]", string) else None
    return writer.represent_scalar("tag:yaml.org,2002:str", string, style=style)


_Writer.add_representer(str, _string)
