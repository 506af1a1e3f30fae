"""When two email addresses are one person's."""

from __future__ import annotations

import string
from typing import Final

_SMALL: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def is_same_address(one: str, other: str) -> bool:
    """Return whether two addresses are equal but for the capitals of A to Z.

    Not `casefold`, in which the Kelvin sign is a "k" and "ſ" an "s": whoever has such an address elsewhere, as at an
    issuer, is somebody else (compare CVE-2019-19844).
    """
    return one.translate(_SMALL) == other.translate(_SMALL)


def limited_address(typed: str) -> str:
    """Return what limits count of an address that somebody typed: one for all spellings that find the same account."""
    # The small letter of "İ" is "i" in the database, and two characters here: each would be an account of its own.
    return typed.strip().replace("\u0130", "i").casefold()
