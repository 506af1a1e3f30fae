"""Whether passkeys can work at all, and where they may be used."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host


def passkeys_work() -> bool:
    """Return whether browsers accept passkeys of this portal: PUBLIC_URL needs a host name, and TLS or localhost."""
    parts = urlsplit(settings.PUBLIC_URL)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return parts.scheme == "https" or host == "localhost" or host.endswith(".localhost")
    return False


def is_own_origin(origin: str) -> bool:
    """Return whether a page of the portal's host names asked for the passkey.

    Browsers let pages of any name below that of PUBLIC_URL ask too, and such a page could pass our challenge on.
    """
    return bool(validate_host(urlsplit(origin).hostname or "", settings.ALLOWED_HOSTS))
