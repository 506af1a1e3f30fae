"""The id of each request at the gateway: its proxy's, as in the web process (accounts.request_context), or new."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final

VALID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}", re.ASCII)
current: Final[ContextVar[str]] = ContextVar("request_id", default="-")


class AddGatewayRequestId(logging.Filter):
    """Give each record the id of the request that is served, or a dash."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current.get()
        return True


def request_id(headers: Iterable[tuple[bytes, bytes]], trusted_proxies: int) -> str:
    """Return the id in X-Request-ID if a proxy of ours wrote it and it is a valid one, else a new one."""
    given = next((value.decode("latin-1") for name, value in headers if name == b"x-request-id"), "")
    return given if trusted_proxies and VALID.fullmatch(given) else secrets.token_hex(16)
