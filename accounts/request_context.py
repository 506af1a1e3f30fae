"""What the audit log and the process log record of the request, task or command that is running."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from accounts import request_ids
from accounts.client_address import client_address

MAX_AGENT: Final = 200


@dataclass(frozen=True)
class Source:
    """Where a change comes from. Empty strings where it does not apply, or is not known."""

    origin: str = ""
    """`page`, `api`, `task NAME` or `manage.py NAME`."""
    address: str = ""
    agent: str = ""
    session: str = ""
    """The first characters of the digest of the session's key."""
    token: str = ""
    """The public prefix of the API token."""
    request_id: str = ""


_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)
_program: ContextVar[str] = ContextVar("program", default="")


@contextmanager
def serving(request: HttpRequest, request_id: str) -> Iterator[None]:
    """Make `request` the source of what happens in this block."""
    tokens = _request.set(request), request_ids.current.set(request_id)
    try:
        yield
    finally:
        _request.reset(tokens[0])
        request_ids.current.reset(tokens[1])


def set_program(origin: str, request_id: str = "") -> None:
    """Make a task or command the source of what happens in this process or thread from now on."""
    _program.set(origin[:64])
    request_ids.current.set(request_id)


def current_request_id() -> str:
    """Return the id of the running request or task; "" outside."""
    return request_ids.current.get()


def current_session() -> SessionBase | None:
    """Return the session of the running request; None outside, and before its middleware."""
    return getattr(_request.get(), "session", None)


def current_source() -> Source:
    """Return the source of a change that is made now.

    Session and token are read now and not when the request begins: signing in starts a new session.
    """
    request = _request.get()
    if request is None:
        return Source(origin=_program.get(), request_id=request_ids.current.get())
    return Source(
        origin="api" if request.path.startswith("/api/") else "page",
        address=_valid_address(client_address(request)),
        agent=_printable(request.headers.get("User-Agent", ""))[:MAX_AGENT],
        session=_session_mark(request),
        token=_token_prefix(request),
        request_id=request_ids.current.get(),
    )


def new_request_id(request: HttpRequest) -> str:
    """Return the id of this request: its proxy's, or a new one."""
    return request_ids.given_or_new_id(request.headers.get("X-Request-ID", ""), settings.TRUSTED_PROXIES)


def session_mark(session_key: str) -> str:
    """Return twelve characters that tell sessions apart; nobody can sign in with them."""
    return hashlib.sha256(b"audit session:" + session_key.encode()).hexdigest()[:12]


def _session_mark(request: HttpRequest) -> str:
    key = getattr(getattr(request, "session", None), "session_key", None)
    return session_mark(key) if key and not getattr(request, "by_token", False) else ""


def _token_prefix(request: HttpRequest) -> str:
    """Return the prefix of the token only where it authenticated somebody: anything else may be a secret."""
    user = getattr(request, "user", None)
    if not getattr(request, "by_token", False) or user is None or not user.is_authenticated:
        return ""
    parts = request.headers.get("Authorization", "").split("_", 2)
    return parts[1][:16] if len(parts) == 3 and parts[1].isalnum() else ""


def _valid_address(text: str) -> str:
    """Return the address in its shortest form; "" for anything else, such as a socket's name or a forged header."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address).partition("%")[0]


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())
