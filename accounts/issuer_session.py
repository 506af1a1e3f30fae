"""HTTP to the issuer, bounded: a slow, huge or redirecting answer must not hold up the portal's pages."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from accounts.network_addresses import is_platform

CONNECT_SECONDS: Final = 3.05
READ_SECONDS: Final = 5
TOTAL_SECONDS: Final = 10
MAX_BYTES: Final = 1024 * 1024
"""Of one answer. A list of 10,000 groups has some 400 kB."""
_WAIT_SECONDS: Final = 1
_at_once = threading.BoundedSemaphore(4)
"""Requests at a time, half the threads of a web process: while the issuer hangs, others serve pages."""


class IssuerSession(requests.Session):
    """Follows no redirect (one could lead into our network, or the client secret elsewhere), and reads so much and no
    more. Raises RequestException. Proxies and certificates of the environment count, passwords of `.netrc` do not.
    """

    def __init__(self) -> None:
        super().__init__()
        # Without one, the library would send a password of `.netrc` in place of the access token.
        self.auth = _unchanged
        for scheme in ("https://", "http://"):
            self.mount(scheme, _CheckedAdapter())

    def request(self, method: Any, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Return the whole response."""
        if not _is_allowed(str(url)):
            raise requests.exceptions.InvalidURL("neither https nor of the issuer")
        if not _at_once.acquire(timeout=_WAIT_SECONDS):
            raise requests.Timeout("the issuer does not answer others either")
        answer: Future[requests.Response] = Future()
        # In a thread of its own: the library's time-out is per read, and a trickle would last for hours.
        threading.Thread(target=self._fetch, args=(answer, method, url, options), daemon=True).start()
        try:
            return answer.result(TOTAL_SECONDS)
        except TimeoutError:
            raise requests.Timeout("the issuer is too slow") from None

    def _fetch(self, answer: Future[requests.Response], method: str, url: str, options: dict[str, Any]) -> None:
        options |= {"timeout": (CONNECT_SECONDS, READ_SECONDS), "allow_redirects": False, "stream": True}
        try:
            _refuse_platform(url)
            with super().request(method, url, **options) as response:
                if response.is_redirect:
                    raise requests.TooManyRedirects("the issuer redirects")
                response._content = _read(response)
            answer.set_result(response)
        except Exception as error:  # noqa: BLE001 - the caller's thread raises it
            answer.set_exception(error)
        finally:
            _at_once.release()


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _is_allowed(url: str) -> bool:
    """Return whether the URL, which the issuer's configuration names, has TLS or is of the issuer's own host."""
    parts, own = urlsplit(url), urlsplit(settings.OIDC_ISSUER)
    return parts.scheme == "https" or (parts.scheme, parts.netloc) == (own.scheme, own.netloc)


def _refuse_platform(url: str) -> None:
    """Raise InvalidURL where a cloud serves its own machines: a hostile issuer could have us read there."""
    # As it is sent: `https://a\\@b/` and `https://%61/` are sent to `a`, which urlsplit does not find in them.
    host = urlsplit(str(requests.Request("GET", url).prepare().url)).hostname or ""
    try:
        found = socket.getaddrinfo(unquote(host), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # The request itself says so; a proxy may know the name.
    if any(is_platform(str(each[4][0])) for each in found):
        raise requests.exceptions.InvalidURL("a cloud's service for its own machines")


class _Checked(HTTPConnection):
    """A connection that is never to where a cloud serves its own machines, whatever a name leads to by now."""

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        if is_platform(str(connected.getpeername()[0])):
            connected.close()
            raise NewConnectionError(self, "a cloud's service for its own machines")
        return connected


class _CheckedTls(_Checked, HTTPSConnection):
    """The same with TLS: nothing is sent before the check."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Checked


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTls


class _CheckedAdapter(HTTPAdapter):
    """Makes checked connections. To a proxy of the environment it makes others: the proxy looks the name up."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for piece in response.iter_content(4_096):
        body += piece
        if len(body) > MAX_BYTES:
            raise requests.exceptions.ContentDecodingError("the issuer's answer is too large")
    return bytes(body)
