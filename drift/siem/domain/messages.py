"""Records as bytes: one JSON line each, or one syslog message each (RFC 5424, framed by RFC 6587 and 5425)."""

from __future__ import annotations

import json
from typing import Any, Final

FACILITY: Final = 16
"""local0: no receiver gives it a meaning of its own."""
SEVERITIES: Final = {"high": 2, "medium": 4, "low": 5, "informational": 6}
"""Critical, warning, notice, informational."""
MAX_MESSAGE: Final = 8_192
"""Bytes of a syslog message: what a receiver should accept (RFC 5425, section 4.3.1), and many cut off beyond."""
MAX_LINE: Final = 65_536
"""Bytes of a line in a file."""
STRINGS: Final = (4_096, 1_024, 256, 64, 16)
LISTS: Final = (64, 32, 16, 4, 1)
"""Lengths to which strings and lists are cut, in steps, until a record fits."""
WHOLE: Final = frozenset(
    {
        *("id", "uid", "at", "kind", "url", "src_url", "sha256", "fingerprint", "version"),
        *("audit_id", "claimed_id", "requested_at", "written_at", "address", "ip"),
    }
)
"""Strings that are never cut: a part of them means nothing. Each is bounded where it comes from."""
LABELS: Final = "pod_labels"
"""The one object whose keys others choose."""


def json_line(record: dict[str, Any]) -> bytes:
    """Return the record as a line of at most MAX_LINE bytes, with its line break."""
    return fitted_json(record, MAX_LINE - 1) + b"\n"


def syslog_frame(record: dict[str, Any], kind: str, severity: str, time: str, host: str) -> bytes:
    """Return the record as a syslog message, preceded by its length. `time` is ISO 8601 in UTC."""
    header = f"<{FACILITY * 8 + SEVERITIES[severity]}>1 {_timestamp(time)} {host[:255] or '-'} driftwatch - {kind} - "
    message = header.encode("ascii", "replace")
    message += fitted_json(record, MAX_MESSAGE - len(message))
    return b"%d %s" % (len(message), message)


def fitted_json(record: dict[str, Any], limit: int) -> bytes:
    """Return the record as JSON in ASCII; `truncated` is true in one whose strings or lists were cut to fit."""
    encoded = _encode(record)
    if len(encoded) <= limit:
        return encoded
    for strings, lists in zip(STRINGS, LISTS, strict=True):
        encoded = _encode({**_cut(record, strings, lists), "truncated": True})
        if len(encoded) <= limit:
            return encoded
    kept: dict[str, Any] = {name: record[name] for name in ("id", "kind", "at", "metadata", "time") if name in record}
    return _encode({**kept, "truncated": True})


def _encode(record: dict[str, Any]) -> bytes:
    # In ASCII a name can neither break a line nor reverse its direction, and the message needs no byte order mark.
    return json.dumps(record, separators=(",", ":")).encode()


def _cut(value: Any, strings: int, lists: int, name: str = "") -> Any:
    if isinstance(value, str):
        return value if name in WHOLE else value[:strings]
    if isinstance(value, list):
        return [_cut(each, strings, lists, name) for each in value[:lists]]
    if isinstance(value, dict):
        items = list(value.items())[: lists if name == LABELS else None]
        return {key: _cut(each, strings, lists, key) for key, each in items}
    return value


def _timestamp(time: str) -> str:
    """Return an ISO 8601 time in UTC as RFC 5424 wants it."""
    return time.replace("+00:00", "Z")
