"""The sensor's HTTP client for the portal: a method per call (docs/wire.md), an exception per kind of answer.

Threads may share a client. httpx is imported when the first one is made, so that everything else starts without it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import gzip
import logging
import ssl
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec

from sensor.delivery.portal_address import InsecureAddress, check_address
from sensor.version import VERSION
from sensor.wire import (
    EnrolRequest,
    EnrolResponse,
    ErrorBody,
    EventsResponse,
    ExecReportsResponse,
    Heartbeat,
    HeartbeatResponse,
    PolicyStatus,
    SignedPolicy,
    StreamTicket,
    TicketRequest,
    json_bytes,
)

if TYPE_CHECKING:
    import httpx

TIMEOUT: Final = 15.0
"""Seconds to connect, and between two bytes of a response."""
STREAM_SILENCE: Final = 60.0
"""Seconds without a keep-alive (one comes every 20) after which a stream is dead."""
MAX_RETRY_AFTER: Final = 3_600.0
KEYS_HEADER: Final = "Driftwatch-Keys"
MIN_GZIP_BYTES: Final = 1_024
"""Smaller bodies are sent uncompressed."""

Shape = TypeVar("Shape", bound=msgspec.Struct)


class PortalError(Exception):
    """The call did not succeed; the message is one line for the log."""


class PortalUnavailable(PortalError):
    """No answer, 429, 5xx or an invalid one: the same call may be retried, after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EnvironmentOff(PortalError):
    """403 environment_off: keep events and retry later."""


class CredentialRejected(PortalError):
    """401: the portal does not accept this credential (on enrolment: the token)."""


class SensorRevoked(PortalError):
    """403 sensor_revoked: this sensor is revoked permanently."""


class RequestRejected(PortalError):
    """Any other 4xx: the request is wrong. `portal_time` is the response's Date, where it has one."""

    def __init__(self, status: int, error: ErrorBody, portal_time: dt.datetime | None = None) -> None:
        super().__init__(error.message)
        self.status, self.code, self.field, self.index = status, error.code, error.field, error.index
        self.portal_time = portal_time


@dataclass(frozen=True)
class FetchedBundle:
    """A policy bundle and its ETag, without quotes."""

    bundle: SignedPolicy
    etag: str


class PortalClient:
    """Calls the portal at `address`, with or without /api/v1, authenticated by `credential`.

    Raises InsecureAddress (`check_address`). Redirects are not followed: they might leave HTTPS, or the portal.
    """

    def __init__(
        self,
        address: str,
        credential: str | None = None,
        timeout: float = TIMEOUT,
        run_id: str = "",
        *,
        insecure_http: bool = False,
    ) -> None:
        check_address(address, insecure_http=insecure_http)
        self._insecure_http = insecure_http
        headers = {"User-Agent": f"driftwatch-sensor/{VERSION}"}
        if credential:
            headers["Authorization"] = f"Bearer {credential}"
        self.address = address.rstrip("/").removesuffix("/api/v1")
        self._run_id = run_id
        self._http = http_client(timeout, headers)

    def close(self) -> None:
        self._http.close()

    def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """Enrol this node. Raises RequestRejected or CredentialRejected where the portal does not accept it."""
        return self._decoded(self._post("sensors/enrol", request), EnrolResponse)

    def policy(self, etag: str | None, keys: Iterable[str]) -> FetchedBundle | None:
        """Return the desired bundle; None where it is the one that `etag` names, or where there is none yet.

        `keys` are the ids of the keys that this sensor accepts: the portal signs with one of them while it can.
        """
        headers = {KEYS_HEADER: ",".join(keys), **({"If-None-Match": f'"{etag}"'} if etag else {})}
        try:
            response = self._call("GET", "sensors/me/policy", headers=headers)
        except RequestRejected as refusal:
            if refusal.code == "no_policy":
                return None
            raise
        if response.status_code == 304:
            return None
        return FetchedBundle(self._decoded(response, SignedPolicy), unquoted_etag(response.headers.get("ETag", "")))

    def report(self, status: PolicyStatus) -> None:
        """Report whether a policy version was applied or rejected."""
        self._post("sensors/me/policy/status", status)

    def prove(self, bundle: SignedPolicy) -> None:
        """Send the applied bundle, whose number the portal does not know."""
        self._post("sensors/me/policy/proof", bundle)

    def heartbeat(self, heartbeat: Heartbeat, timeout: float = TIMEOUT) -> HeartbeatResponse:
        """Send a heartbeat; the answer names the desired policy."""
        return self._decoded(self._post("sensors/me/heartbeat", heartbeat, timeout=timeout), HeartbeatResponse)

    def send(self, events: Sequence[bytes]) -> EventsResponse:
        """Upload events, each as JSON. On return all are durably stored; after an exception any of them may be."""
        return self._decoded(self._send_list("sensors/me/events", b"events", events), EventsResponse)

    def send_exec_reports(self, reports: Sequence[bytes]) -> ExecReportsResponse:
        """Upload reports of what containers executed, each as JSON. On return all that may be stored are."""
        response = self._send_list("sensors/me/execs", b"reports", reports)
        return self._decoded(response, ExecReportsResponse)

    def ticket(self) -> StreamTicket:
        """Return a ticket for one connection to the push gateway."""
        return self._decoded(self._post("sensors/me/stream-ticket", TicketRequest(self._run_id)), StreamTicket)

    @contextlib.contextmanager
    def stream(self, ticket: StreamTicket) -> Iterator[Iterator[bytes]]:
        """Open the push gateway's stream, in chunks of bytes. Raises PortalUnavailable where it breaks or is silent."""
        import httpx

        try:
            check_address(ticket.stream_url, insecure_http=self._insecure_http)
        except InsecureAddress as error:
            raise PortalUnavailable(f"the push stream is not opened: {error}") from None
        headers = {"Authorization": f"Bearer {ticket.ticket}", "Accept": "text/event-stream"}
        timeout = httpx.Timeout(TIMEOUT, read=STREAM_SILENCE)
        try:
            with self._http.stream("GET", ticket.stream_url, headers=headers, timeout=timeout) as response:
                if response.status_code != 200:
                    raise PortalUnavailable(f"the push gateway answered {response.status_code}")
                yield response.iter_bytes()
        except httpx.HTTPError as error:
            raise PortalUnavailable(f"the push stream broke: {_reason(error)}") from None

    def _send_list(self, path: str, name: bytes, items: Sequence[bytes]) -> httpx.Response:
        body = b'{"%s":[%s]}' % (name, b",".join(items))
        headers = {"Content-Type": "application/json"}
        if len(body) >= MIN_GZIP_BYTES:
            body, headers["Content-Encoding"] = gzip.compress(body, compresslevel=4), "gzip"
        return self._call("POST", path, content=body, headers=headers)

    def _post(self, path: str, body: msgspec.Struct, timeout: float | None = None) -> httpx.Response:
        more: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        headers = {"Content-Type": "application/json"}
        return self._call("POST", path, content=msgspec.json.encode(body), headers=headers, **more)

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        import httpx

        try:
            response = self._http.request(method, f"{self.address}/api/v1/{path}", **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PortalUnavailable(f"the portal at {self.address} cannot be reached: {_reason(error)}") from None
        if response.is_success or response.status_code == 304:
            return response
        raise _error(response)

    def _decoded(self, response: httpx.Response, shape: type[Shape]) -> Shape:
        try:
            return json_bytes.decode(response.content, shape)
        except msgspec.DecodeError:
            raise PortalUnavailable(f"{self.address} did not respond as a portal") from None


def http_client(timeout: float, headers: dict[str, str] | None = None) -> httpx.Client:
    """Return an HTTP client with the sensor's trust store and proxies; `timeout` in seconds."""
    # Keeps httpx from importing its command line, with click and rich: most of the sensor's start-up time.
    sys.modules.setdefault("httpx._main", cast("ModuleType", None))
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    # Proxies come from the environment, but never apply to this machine itself.
    direct = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}
    # The system's trust store, or SSL_CERT_FILE, not certifi's: nodes trust their organisation's own CA.
    trust = ssl.create_default_context()
    return httpx.Client(timeout=timeout, headers=headers, mounts=direct, verify=trust)


def unquoted_etag(etag: str) -> str:
    """Return an ETag without its quotes and its weakness mark."""
    return etag.removeprefix("W/").strip('"')


def _error(response: httpx.Response) -> PortalError:
    """Return the exception for a response of 3xx, 4xx or 5xx."""
    status, body = response.status_code, _body(response)
    message = body.message if body else f"{response.url.host} answered {status} {response.reason_phrase}"
    if status == 401:
        return CredentialRejected(message)
    if body and status == 403 and body.code == "sensor_revoked":
        return SensorRevoked(message)
    if body and status == 403 and body.code == "environment_off":
        return EnvironmentOff(message)
    if status == 413:
        return RequestRejected(status, body or ErrorBody("too_large", message))
    if body and 400 <= status < 500 and status != 429:
        return RequestRejected(status, body, parsed_http_date(response.headers.get("Date")))
    # From a proxy in between, or from a portal in trouble: not an answer to this request.
    return PortalUnavailable(message, _retry_after(response))


def _body(response: httpx.Response) -> ErrorBody | None:
    try:
        return json_bytes.decode(response.content, ErrorBody)
    except msgspec.DecodeError:
        return None


def parsed_http_date(value: str | None) -> dt.datetime | None:
    """Return the time of a header such as Date; None where it is missing or invalid."""
    try:
        moment = email.utils.parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _retry_after(response: httpx.Response) -> float | None:
    """Return Retry-After in seconds, from a number or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "")
    moment = parsed_http_date(value)
    if value.isdecimal():
        seconds = float(value)
    elif moment:
        seconds = (moment - dt.datetime.now(dt.UTC)).total_seconds()
    else:
        return None
    return max(0.0, min(seconds, MAX_RETRY_AFTER))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
