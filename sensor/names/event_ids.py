"""The ids of events: the same exec or summary always has the same, so that what is sent again is recognised."""

from __future__ import annotations

import uuid
from typing import Final

EVENT_NAMESPACE: Final = uuid.UUID("4d1c7f0a-6f0f-5c58-9d53-3d1f2f6a9b77")


def exec_event_id(boot_id: str, pid: int, start_time_ns: int, event_time_ns: int) -> uuid.UUID:
    """Return one id per exec. The start time tells a reused pid from its earlier process."""
    return uuid.uuid5(EVENT_NAMESPACE, f"exec:{boot_id}:{pid}:{start_time_ns}:{event_time_ns}")


def summary_event_id(boot_id: str, key: str, window_start_ns: int, sequence: int) -> uuid.UUID:
    """Return one id per aggregation key and window, so that a resent summary is recognised."""
    return uuid.uuid5(EVENT_NAMESPACE, f"summary:{boot_id}:{key}:{window_start_ns}:{sequence}")
