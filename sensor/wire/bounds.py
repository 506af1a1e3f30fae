"""Bounds of what sensor and portal exchange, and the types that state them. Times are RFC 3339 in UTC, microseconds."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

from msgspec import Meta

Mode = Literal["exec", "summary"]
Outcome = Literal["none", "blocked", "not_blocked", "would_block"]
HashStatus = Literal["ok", "too_large", "gone", "unreadable"]
Identity = Literal["complete", "incomplete"]
Confidence = Literal["certain", "change_time"]
GapReason = Literal["layers_unreadable", "no_overlay", "no_layers", "root_unknown", "execs_lost"]
PodRole = Literal["probe", "init", "debug"]
Session = Literal["workload", "exec", "probe", "init", "debug"]
WriterOrigin = Literal["image", "runtime", "drift"]
WriterSession = Literal["workload", "exec"]
Provider = Literal["azure", "aws", "gcp"]
Distribution = Literal["aks", "eks", "gke", "other"]

MAX_EVENTS: Final = 1_000
"""Events in one POST (docs/wire.md#calls)."""
MAX_EVENT_BYTES: Final = 32 * 1024
MAX_ARGV_ITEMS: Final = 64
MAX_ARGV_BYTES: Final = 4 * 1024
"""All argv items together, as UTF-8 after escaping."""
MAX_ENTRY_ITEMS: Final = 16
MAX_ENTRY_BYTES: Final = 1_024
"""The same of the command with which a process entered the container."""
MAX_PATH: Final = 4_096
MAX_LABELS: Final = 64
MAX_ANCESTORS: Final = 16
MAX_KEYS: Final = 16
"""Public keys that a bundle may name; a portal holds far fewer."""
MAX_GAPS: Final = 50

Path = Annotated[str, Meta(max_length=MAX_PATH)]
Name = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(max_length=1_024)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Pid = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Count = Annotated[int, Meta(ge=1, le=2**31)]
Counter = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Causes = Annotated[dict[Annotated[str, Meta(max_length=64)], Counter], Meta(max_length=32)]
Time = Annotated[dt.datetime, Meta(tz=True)]
KeyId = Annotated[str, Meta(max_length=64)]
ETag = Annotated[str, Meta(max_length=64)]
RunId = Annotated[str, Meta(max_length=32)]
