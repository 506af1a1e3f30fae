"""POST to an address that an administrator typed, without becoming a way into the portal's own network.

The name is looked up once, every address it has must be a public one, and the connection goes to the very
address that was checked: a second look-up could give another. No redirect is followed, no proxy of the
environment used, nothing of the answer read but its status.
"""

from __future__ import annotations

import asyncio
import ipaddress
import queue
import socket
import threading
import time
from typing import Any, Final

import httpx
from django.conf import settings

SECONDS: Final = 10
"""For one delivery, from looking the name up to the last header of the answer, however slowly it drips in."""
EACH: Final = httpx.Timeout(5.0, connect=3.0)
"""For each step of it."""


class Refused(ValueError):
    """The address is none that the portal posts to, with the reason for a person."""


def check(url: str) -> httpx.URL:
    """The URL, its form allowed. Raises Refused. Where its name leads is looked up when something is sent."""
    try:
        found = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise Refused("This is no address of the form https://host/path.") from None
    schemes = ("https", "http") if settings.NOTIFY_ALLOW_HTTP else ("https",)
    if found.scheme not in schemes or not found.host:
        raise Refused("The address must begin with https://.")
    if found.userinfo or found.fragment:
        raise Refused("The address must hold no user name, password or #.")
    return found


def address_of(url: httpx.URL) -> str:
    """An IP address of the URL's host. Raises Refused where any that it has is not public, or there is none;
    httpx.ConnectError, ConnectTimeout where nobody could tell just now.
    """
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = _looked_up(url.host, port)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise httpx.ConnectError("the name could not be looked up") from None
        raise Refused("The host's name cannot be looked up.") from None
    except (OSError, UnicodeError):
        raise Refused("The host's name cannot be looked up.") from None
    addresses = [str(each[4][0]).partition("%")[0] for each in found]
    if not settings.NOTIFY_ALLOW_PRIVATE and not all(_is_public(each) for each in addresses):
        raise Refused("The host is not on the public internet.")
    return addresses[0]


def _looked_up(host: str, port: int) -> list[Any]:
    """As socket.getaddrinfo, within SECONDS. The resolver has no limit but its own, of half a minute and more a server.

    What it still waits for then is a thread's that nobody waits for, not even the worker's end.
    """
    told: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            told.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            told.put(error)

    threading.Thread(target=look_up, name="look up a webhook's host", daemon=True).start()
    try:
        found = told.get(timeout=SECONDS)
    except queue.Empty:
        raise httpx.ConnectTimeout(f"the name was not looked up within {SECONDS} s") from None
    if isinstance(found, Exception):
        raise found
    return found


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None or address in ipaddress.ip_network("64:ff9b::/96"):
            return False
        if address.is_site_local or address.is_reserved:  # old forms that Python takes for global
            return False
    return address.is_global and not address.is_multicast


def post(url: str, body: bytes, headers: dict[str, str], transport: httpx.AsyncBaseTransport | None = None) -> None:
    """Send, and be content with any 2xx, within SECONDS.

    Raises Refused, and httpx.HTTPError for all else that went wrong.
    """
    until = time.monotonic() + SECONDS
    target = check(url)
    pinned = target.copy_with(host=address_of(target))
    headers = {**headers, "Host": target.netloc.decode("ascii"), "Content-Type": "application/json"}
    sending = _send(pinned, body, headers, target.host, transport)
    try:
        asyncio.run(asyncio.wait_for(sending, until - time.monotonic()))
    except TimeoutError:
        raise httpx.ReadTimeout(f"no answer within {SECONDS} s") from None


async def _send(
    url: httpx.URL, body: bytes, headers: dict[str, str], host: str, transport: httpx.AsyncBaseTransport | None
) -> None:
    """As long as it takes: the clocks of httpx begin anew with every byte that comes."""
    client = httpx.AsyncClient(timeout=EACH, trust_env=False, follow_redirects=False, transport=transport)
    names = {"sni_hostname": host}
    async with client, client.stream("POST", url, content=body, headers=headers, extensions=names) as answer:
        if not answer.is_success:
            said = f"It answered {answer.status_code}."
            raise httpx.HTTPStatusError(said, request=answer.request, response=answer)
