"""What the log is spared."""

from __future__ import annotations

import logging

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from psycopg.errors import QueryCanceled

DATABASE_AWAY = (OperationalError, InterfaceError)
"""What Django raises where the database is away, restarts, is full or too busy. What was begun is undone."""


def is_away(error: BaseException | None) -> bool:
    """Whether the database is, and not one statement that it gave up: that is a fault of ours, to be seen in full."""
    return isinstance(error, DATABASE_AWAY) and not isinstance(error.__cause__, QueryCanceled)


class OneLineWhenAway(logging.Filter):
    """While the database is away every request fails alike: a line each, without where it failed."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and is_away(record.exc_info[1]):
            lines = str(record.exc_info[1]).strip().splitlines() or [""]
            record.msg = f"{record.getMessage()} ({lines[0]})"
            record.args, record.exc_info, record.levelno = None, None, logging.WARNING
            record.levelname = logging.getLevelName(logging.WARNING)
        return True


class OneLineWhenRefused(logging.Filter):
    """What a role may not do is refused where it is checked, always: the same trace each time, at anybody's will."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], PermissionDenied):
            record.exc_info = None
        return True
