"""What the log is spared."""

from __future__ import annotations

import logging

from django.db import InterfaceError, OperationalError

DATABASE_AWAY = (OperationalError, InterfaceError)
"""What Django raises where the database is away, restarts, is full or too busy. What was begun is undone."""


class OneLineWhenAway(logging.Filter):
    """While the database is away every request fails alike: a line each, without where it failed."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], DATABASE_AWAY):
            lines = str(record.exc_info[1]).strip().splitlines() or [""]
            record.msg = f"{record.getMessage()} ({lines[0]})"
            record.args, record.exc_info, record.levelno = None, None, logging.WARNING
            record.levelname = logging.getLevelName(logging.WARNING)
        return True
