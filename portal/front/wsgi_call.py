"""One call of the WSGI application in a thread: from the ASGI scope to its environ (PEP 3333), and back."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from portal.body_limits import PREFLIGHT

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

WHOLE: Final = 1024 * 1024
"""Bytes up to which a streamed response is collected, so that its thread is free while the client reads."""
_WITHOUT_PREFIX: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


@dataclass(frozen=True)
class Answer:
    """A response: its first bytes, and what follows them where it is streamed."""

    status: int
    headers: list[tuple[bytes, bytes]]
    first: bytes
    rest: Iterator[bytes] | None
    close: Callable[[], None]


def environ(scope: MutableMapping[str, Any], body: bytes, *, preflight: bool = False) -> Environ:
    """Return the environ of a request whose body is whole; with `preflight`, of one that asks before it sends it."""
    host, port = scope.get("server") or ("localhost", 80)
    found: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        PREFLIGHT: preflight,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        # `X_Forwarded_For` would become the same key as the header that our proxy sets.
        if "_" in name or name == "transfer-encoding":
            continue
        key = _WITHOUT_PREFIX.get(name) or f"HTTP_{name.upper().replace('-', '_')}"
        separator = "; " if name == "cookie" else ","
        found[key] = f"{found[key]}{separator}{value}" if key in found else value
    found["CONTENT_LENGTH"] = str(len(body))
    return found


def call(application: Application, given: Environ) -> Answer:
    """Return the application's answer. Whoever gets it calls `close`, in the same thread."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        started[:] = [(status, headers)]

    result = application(given, start_response)
    parts, size = [], 0
    chunks = iter(result)
    rest: Iterator[bytes] | None = None
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > WHOLE:
            rest = chunks
            break
    status, headers = started[0]
    # Django writes cookies with a space in front, which h11 rejects.
    encoded = [(name.lower().encode("latin-1"), value.strip().encode("latin-1")) for name, value in headers]
    return Answer(int(status[:3]), encoded, b"".join(parts), rest, getattr(result, "close", _nothing))


def _nothing() -> None:
    """Close an iterable that has no `close`."""
