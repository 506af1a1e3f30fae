"""POST to an address that an administrator entered, without opening a way into the portal's own network (SSRF).

The host name is resolved once, every address it resolves to must be public, and the connection goes to the address
that was checked: a second look-up could return another (DNS rebinding). No redirect is followed, no proxy of the
environment is used, and nothing of the response is read but its status.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
import time
from typing import Any, Final

import httpx
from django.conf import settings

from accounts.network_addresses import is_platform, is_public
from drift.notify.errors import AddressRejected

SECONDS: Final = 10
"""Limit of one delivery, from the name look-up to the last response header, however slowly they arrive."""
STEP_TIMEOUT: Final = httpx.Timeout(5.0, connect=3.0)
"""Limit of each step of it."""


def webhook_url(text: str) -> httpx.URL:
    """Parse a webhook's URL. Raises AddressRejected. The host is resolved only when something is sent."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise AddressRejected("Enter an address of the form https://host/path.") from None
    if url.scheme not in (("https", "http") if settings.NOTIFY_ALLOW_HTTP else ("https",)) or not url.host:
        raise AddressRejected("The address must begin with https://.")
    if url.userinfo or url.fragment:
        raise AddressRejected("The address must not contain a user name, a password or #.")
    return url


def post(url: str, body: bytes, headers: dict[str, str], transport: httpx.AsyncBaseTransport | None = None) -> None:
    """Send `body`; any 2xx is success. Takes at most SECONDS.

    Raises AddressRejected, and httpx.HTTPError for everything else that goes wrong.
    """
    deadline = time.monotonic() + SECONDS
    target = webhook_url(url)
    pinned = target.copy_with(host=checked_address(target))
    headers = {**headers, "Host": target.netloc.decode("ascii"), "Content-Type": "application/json"}
    request = _send(pinned, body, headers, target.host, transport)
    try:
        asyncio.run(asyncio.wait_for(request, deadline - time.monotonic()))
    except TimeoutError:
        raise httpx.ReadTimeout(f"no response within {SECONDS} s") from None


def checked_address(url: httpx.URL) -> str:
    """Resolve the URL's host and return one of its IP addresses. Raises what `checked_host` raises."""
    return checked_host(url.host, url.port or (443 if url.scheme == "https" else 80))


def checked_host(host: str, port: int) -> str:
    """Resolve a host and return one of its IP addresses.

    Raises AddressRejected if any of them is not public (where the operator allows those: if a cloud serves its machines
    there) or the name does not exist; httpx.ConnectError or
    ConnectTimeout if the look-up failed and may succeed later.
    """
    try:
        found = _resolve(host, port)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise httpx.ConnectError("the name could not be looked up") from None
        raise AddressRejected("The host's name cannot be looked up.") from None
    except (OSError, UnicodeError):
        raise AddressRejected("The host's name cannot be looked up.") from None
    addresses = [str(each[4][0]) for each in found]
    # All, not only the one that is used: the resolver may return them in another order next time.
    if not settings.NOTIFY_ALLOW_PRIVATE and not all(is_public(each) for each in addresses):
        raise AddressRejected("The host is not on the public internet.")
    if any(is_platform(each) for each in addresses):
        raise AddressRejected("The host is a cloud's service for its own machines.")
    return addresses[0]


def _resolve(host: str, port: int) -> list[Any]:
    """Return what socket.getaddrinfo returns, within SECONDS."""
    result: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            result.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            result.put(error)

    # getaddrinfo takes no timeout, and the resolver's own is half a minute per server: so it runs in a thread that
    # is abandoned when time is up. A daemon, or it would keep the worker from exiting.
    threading.Thread(target=look_up, name="webhook-look-up", daemon=True).start()
    try:
        found = result.get(timeout=SECONDS)
    except queue.Empty:
        raise httpx.ConnectTimeout(f"the name was not looked up within {SECONDS} s") from None
    if isinstance(found, Exception):
        raise found
    return found


async def _send(
    url: httpx.URL, body: bytes, headers: dict[str, str], host: str, transport: httpx.AsyncBaseTransport | None
) -> None:
    """Send without a limit on the whole: httpx restarts its timeouts with every byte that arrives."""
    client = httpx.AsyncClient(timeout=STEP_TIMEOUT, trust_env=False, follow_redirects=False, transport=transport)
    # The URL holds an IP address by now; TLS must still verify the certificate against the host's name.
    names = {"sni_hostname": host}
    async with client, client.stream("POST", url, content=body, headers=headers, extensions=names) as response:
        if not response.is_success:
            message = f"The server responded with status {response.status_code}."
            raise httpx.HTTPStatusError(message, request=response.request, response=response)
