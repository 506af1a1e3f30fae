"""POST to an address that an administrator typed, without becoming a way into the portal's own network.

The name is looked up once, every address it has must be a public one, and the connection goes to the very
address that was checked: a second look-up could give another. No redirect is followed, no proxy of the
environment used, nothing of the answer read but its status.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

import httpx
from django.conf import settings

SECONDS: Final = 10
"""For one delivery, from connecting to the last header of the answer, however slowly it drips in."""
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
    """An IP address of the URL's host. Raises Refused where any that it has is not public, or there is none."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused("The host's name cannot be looked up.") from None
    addresses = [str(each[4][0]).partition("%")[0] for each in found]
    if not settings.NOTIFY_ALLOW_PRIVATE and not all(_is_public(each) for each in addresses):
        raise Refused("The host is not on the public internet.")
    return addresses[0]


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
    """Send, and be content with any 2xx, within SECONDS and what looking the name up takes.

    Raises Refused, and httpx.HTTPError for all else that went wrong.
    """
    target = check(url)
    pinned = target.copy_with(host=address_of(target))
    headers = {**headers, "Host": target.netloc.decode("ascii"), "Content-Type": "application/json"}
    asyncio.run(_send(pinned, body, headers, target.host, transport))


async def _send(
    url: httpx.URL, body: bytes, headers: dict[str, str], host: str, transport: httpx.AsyncBaseTransport | None
) -> None:
    """A clock of its own for all of it: those of httpx begin anew with every byte that comes."""
    client = httpx.AsyncClient(timeout=EACH, trust_env=False, follow_redirects=False, transport=transport)
    names = {"sni_hostname": host}
    try:
        async with (
            asyncio.timeout(SECONDS),
            client,
            client.stream("POST", url, content=body, headers=headers, extensions=names) as answer,
        ):
            if not answer.is_success:
                said = f"It answered {answer.status_code}."
                raise httpx.HTTPStatusError(said, request=answer.request, response=answer)
    except TimeoutError:
        raise httpx.ReadTimeout(f"no answer within {SECONDS} s") from None
