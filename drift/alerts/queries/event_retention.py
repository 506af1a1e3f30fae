"""How long events are kept."""

from __future__ import annotations

import datetime as dt

from django.conf import settings


def oldest_day(today: dt.date) -> dt.date:
    """Return the first day whose events are kept."""
    return today - dt.timedelta(days=settings.EVENT_RETENTION_DAYS)
