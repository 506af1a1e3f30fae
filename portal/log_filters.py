"""Log filters that shorten repetitive records, and add the request's id."""

from __future__ import annotations

import logging

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from psycopg.errors import QueryCanceled

from accounts.request_context import current_request_id

DATABASE_UNAVAILABLE = (OperationalError, InterfaceError)
"""Django raises these when the database is down, restarting, full or too busy. The transaction is rolled back."""


def is_database_unavailable(error: BaseException | None) -> bool:
    """Return whether the database is unavailable. A statement timeout is not: that is our bug, logged in full."""
    return isinstance(error, DATABASE_UNAVAILABLE) and not isinstance(error.__cause__, QueryCanceled)


class ShortenDatabaseErrors(logging.Filter):
    """One warning line without a traceback: while the database is down, every request fails the same way."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and is_database_unavailable(record.exc_info[1]):
            lines = str(record.exc_info[1]).strip().splitlines() or [""]
            record.msg = f"{record.getMessage()} ({lines[0]})"
            record.args, record.exc_info, record.levelno = None, None, logging.WARNING
            record.levelname = logging.getLevelName(logging.WARNING)
        return True


class ShortenPermissionErrors(logging.Filter):
    """No traceback: permission is denied in one place, and any user could fill the log with it."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], PermissionDenied):
            record.exc_info = None
        return True


class AddRequestId(logging.Filter):
    """Give each record the id of the request or task that is running, or a dash."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id() or "-"
        return True
