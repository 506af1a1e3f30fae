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
