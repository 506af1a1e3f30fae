"""A credential leaves this machine over HTTPS only, unless --insecure-http says otherwise."""

from __future__ import annotations

import datetime as dt
import http.server
import threading
from collections.abc import Iterator

import pytest

from sensor.delivery.client import PortalClient, PortalError, PortalUnavailable
from sensor.delivery.portal_address import InsecureAddress, check_address
from sensor.wire import StreamTicket
from tests.unit.sensor.fake_portal import CREDENTIAL

SAFE = [
    "https://driftwatch.example",
    "HTTPS://driftwatch.example:8443/api/v1",
    "https://10.0.0.1",
    "http://127.0.0.1:8000",
    "http://127.1.2.3",
    "http://localhost:8000/",
    "http://LOCALHOST",
    "http://[::1]:8000",
]
IN_THE_CLEAR = [
    "http://driftwatch.example",
    "HTTP://driftwatch.example",
    "http://10.0.0.1:8000",
    "http://0.0.0.0",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1@evil.example",
    "http://127.1",
    "http://2130706433",
    "http://[::ffff:10.0.0.1]",
    "http://host.docker.internal",
    " http://driftwatch.example",
]
NO_ADDRESS = [
    "",
    "driftwatch.example",
    "//driftwatch.example",
    "ftp://127.0.0.1",
    "file:///etc",
    "https://",
    "http://[",
    "http:",
]


@pytest.mark.parametrize("address", SAFE)
def test_https_and_this_machine_are_allowed(address: str) -> None:
    check_address(address, insecure_http=False)


@pytest.mark.parametrize("address", IN_THE_CLEAR)
def test_http_beyond_loopback_needs_the_option(address: str) -> None:
    with pytest.raises(InsecureAddress, match="--insecure-http"):
        check_address(address, insecure_http=False)
    check_address(address, insecure_http=True)


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_what_is_no_address_is_refused_even_with_the_option(address: str) -> None:
    with pytest.raises(InsecureAddress):
        check_address(address, insecure_http=True)


def test_a_client_for_an_insecure_address_sends_nothing() -> None:
    with pytest.raises(InsecureAddress):
        PortalClient("http://driftwatch.example", CREDENTIAL)


def test_the_stream_is_not_opened_in_the_clear() -> None:
    client = PortalClient("https://driftwatch.example", CREDENTIAL)
    ticket = StreamTicket("http://gateway.example/stream", "ticket", dt.datetime.now(dt.UTC))

    with pytest.raises(PortalUnavailable, match="in the clear"), client.stream(ticket):
        pytest.fail("the stream was opened")


@pytest.fixture
def redirecting() -> Iterator[tuple[str, list[str]]]:
    """A server that redirects every request to plain HTTP on another name, and what it was sent."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers.get("Host", ""))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(307)
            self.send_header("Location", f"http://localhost:{server.server_port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - the name that the server calls

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def test_a_redirect_is_never_followed(redirecting: tuple[str, list[str]]) -> None:
    address, seen = redirecting
    client = PortalClient(address, CREDENTIAL)

    for call in (client.ticket, lambda: client.send([b"{}"]), lambda: client.policy(None, ["k1"])):
        with pytest.raises(PortalError, match="307"):
            call()

    assert len(seen) == 3
    assert {host.partition(":")[0] for host in seen} == {"127.0.0.1"}
