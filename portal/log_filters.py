"""Log filters that shorten repetitive records, and name refused callers."""

from __future__ import annotations

import logging
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from psycopg.errors import QueryCanceled, ReadOnlySqlTransaction

from accounts.client_address import client_address

REFUSALS: Final = frozenset({401, 403, 429})
DATABASE_UNAVAILABLE = (OperationalError, InterfaceError)
"""Django raises these when the database is down, restarting, full or too busy. The transaction is rolled back."""


def is_database_unavailable(error: BaseException | None) -> bool:
    """Return whether the database is unavailable. A statement timeout is not: that is our bug, logged in full.

    A server that only reads is a standby, or one that is being replaced: whoever tries again finds the other.
    """
    if error is not None and isinstance(error.__cause__, ReadOnlySqlTransaction):
        return True
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


class NameRefusedCaller(logging.Filter):
    """Say who was refused: the record of a response with 401, 403 or 429 gets the user's id, token and address."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and getattr(record, "status_code", 0) in REFUSALS:
            user, token = getattr(getattr(request, "user", None), "pk", None), getattr(request, "api_token", None)
            who = f"user {user}" if user else "nobody"
            by = f" by token {token.prefix}" if token else ""
            record.msg = f"{record.getMessage()} ({who}{by} from {client_address(request) or 'a socket'})"
            record.args = None
        return True
