"""Whether passkeys can work at all."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings


def passkeys_work() -> bool:
    """Return whether browsers accept passkeys of this portal: PUBLIC_URL needs a host name, and TLS or localhost."""
    parts = urlsplit(settings.PUBLIC_URL)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return parts.scheme == "https" or host == "localhost" or host.endswith(".localhost")
    return False
