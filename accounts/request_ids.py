"""The id of the request or task that is running. Free of Django, because the push gateway has none."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from typing import Final

_VALID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}", re.ASCII)
current: Final[ContextVar[str]] = ContextVar("request_id", default="")


def is_valid_request_id(text: str) -> bool:
    """Return whether an id is one that logs and audit entries can hold."""
    return _VALID.fullmatch(text) is not None


def given_or_new_id(given: str, trusted_proxies: int) -> str:
    """Return the id that our own proxy gave the request in X-Request-ID, else a new one of 32 hexadecimal digits.

    Without a trusted proxy the header is the client's, who could make its requests look like another's.
    """
    return given if trusted_proxies and is_valid_request_id(given) else secrets.token_hex(16)
