"""Signatures of task messages: who can write in Redis, but lacks SECRET_KEY, queues no task.

Signed are the task's name, id, arguments and times together, so that no part of a signed message can be put into
another. A message may be sent again while it is recent: tasks may run twice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Final

SIGNATURE: Final = "signature"
SIGNED_AT: Final = "signed_at"
MAX_AGE: Final = 24 * 3600
"""Seconds for which a message is accepted. What waits longer is sent again by a sweeper."""
UNSIGNED: Final = frozenset({SIGNATURE, "redelivered"})
"""Headers that are not signed: the transport sets `redelivered` on a message whose worker died."""


def sign(headers: dict[str, Any], body: str, key: str) -> None:
    """Add the time and the signature to a message's headers. `body` is the JSON as it is sent."""
    headers[SIGNED_AT] = int(time.time())
    headers[SIGNATURE] = _signature(headers, body, key)


def rejection(headers: Mapping[str, Any] | None, body: str | bytes, keys: list[str]) -> str:
    """Return why a message is not one of ours, "" for one that any of the keys signed within MAX_AGE."""
    given = (headers or {}).get(SIGNATURE)
    if headers is None or not isinstance(given, str):
        return "it is not signed"
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    if not any(_is_equal(given, _signature(headers, text, key)) for key in keys):
        return "its signature is wrong"
    return "" if time.time() - headers[SIGNED_AT] < MAX_AGE else "it was signed more than a day ago"


def _is_equal(given: str, right: str) -> bool:
    # JSON can have half a surrogate pair, of which `encode` alone makes no bytes.
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())


def _signature(headers: Mapping[str, Any], body: str, key: str) -> str:
    signed = {name: value for name, value in headers.items() if name not in UNSIGNED}
    text = json.dumps([signed, body], sort_keys=True)
    return hmac.digest(key.encode(), b"task:" + text.encode(), hashlib.sha256).hex()
