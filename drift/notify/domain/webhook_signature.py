"""How a webhook is signed (docs/notifications.md#webhooks)."""

from __future__ import annotations

import hashlib
import hmac


def signature_header(secret: str, timestamp: int, body: bytes) -> str:
    """Return the value of `Driftwatch-Signature`: `t=SECONDS,v1=HEX`, HMAC-SHA256 over "SECONDS.BODY".

    `timestamp` is Unix time in seconds. It is signed too, so that a recorded message cannot be replayed as new.
    """
    signed = f"{timestamp}.".encode() + body
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
