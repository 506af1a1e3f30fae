"""SHA-256 sums as people have them: one a line, as `sha256sum` writes it, with comments and empty lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MAX_LISTED: Final = 100_000
MAX_LOOKED_UP: Final = 1_000
_SUM: Final = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})(?![0-9a-zA-Z])")


class HashesInvalid(ValueError):
    """A line without a sum, no sum at all, or too many; the message is for people."""


def read_sums(text: str, most: int) -> list[str]:
    """Return the sums of a text, in lower case and each once, in their order; raise HashesInvalid.

    What follows a sum on its line, such as a file's name, is left out; a line that begins with # is a comment.
    """
    found: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip().lstrip("\ufeff")
        if not stripped or stripped.startswith("#"):
            continue
        match = _SUM.match(stripped)
        if match is None:
            raise HashesInvalid(f"Line {number} does not begin with a SHA-256 sum of 64 hexadecimal digits.")
        found[match[1].lower()] = None
        if len(found) > most:
            raise HashesInvalid(f"At most {most:,} sums are allowed.")
    if not found:
        raise HashesInvalid("Enter at least one SHA-256 sum.")
    return list(found)


def look_up_links(templates: Iterable[tuple[str, str]], sha256: str | None) -> list[tuple[str, str]]:
    """Return (host, address) of the sites that say more about a file; none where its sum is not known."""
    return [(host, template.replace("{sha256}", sha256)) for host, template in templates] if sha256 else []
