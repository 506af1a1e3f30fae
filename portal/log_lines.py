"""How every process writes its log: one record a line, as text or JSON, and little while a service is away.

Free of Django, because the push gateway has none.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Final

from accounts import request_ids
from sensor.names.visible_text import visible_text

SECONDS: Final = 60.0
"""Of each service's outage a process writes one record in this time, and counts the others."""
SERVICES: Final = {
    "redis.exceptions.ConnectionError": "Redis",
    "redis.exceptions.TimeoutError": "Redis",
    "kombu.exceptions.OperationalError": "Redis",
    "django.db.utils.OperationalError": "the database",
    "django.db.utils.InterfaceError": "the database",
    "django.db.utils.InternalError": "the database",
    "psycopg.OperationalError": "the database",
    "psycopg.InternalError": "the database",
    "psycopg_pool.PoolTimeout": "the database",
}
"""The service that an error is about, by the name of its class: importing these would load what a process lacks."""
OUTAGE_STATES: Final = ("08", "53", "57P", "25006")
"""SQLSTATE: no connection, no resources, shutting down, a server that only reads. Others, as a deadlock, are ours."""


class AddRequestId(logging.Filter):
    """Give each record the id of the request or task that is running, or a dash."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs a response once its request has ended.
        request = getattr(record, "request", None)
        record.request_id = request_ids.current.get() or getattr(request, "request_id", "") or "-"
        return True


class LineFormatter(logging.Formatter):
    """Keeps a message in its line: what strangers sent must not look like a record of its own. Tracebacks follow it.

    Times are UTC, in ISO 8601.
    """

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        record.message = visible_text(record.message)
        return super().formatMessage(record)


class JsonFormatter(LineFormatter):
    """One JSON object a line: time, level, logger, process, request_id, message, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        found = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "process": os.getpid(),
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return json.dumps(found | getattr(record, "facts", {}), default=str)


class ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes records to standard error; of those about a service that is away, one a minute, without a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write what is to be written because of this record. The handler's lock is held."""
        for each in self._admitted(record, time.monotonic()):
            super().emit(each)

    def _admitted(self, record: logging.LogRecord, now: float) -> Iterator[logging.LogRecord]:
        error = outage_error(record)
        service = service_name(error) if error else None
        for other in [name for name, since in self._since.items() if name != service and now >= since + SECONDS]:
            del self._since[other]
            if count := self._left_out.pop(other, 0):
                yield _like(record, f"{other} was unavailable: {count} more records about it were left out")
        if error is None or service is None:
            yield record
        elif now < self._since.get(service, now - SECONDS) + SECONDS:
            self._left_out[service] = self._left_out.get(service, 0) + 1
        else:
            self._since[service] = now
            count = self._left_out.pop(service, 0)
            more = f"; {count} more records about it were left out before" if count else ""
            yield _like(record, f"{service} is unavailable: {_first_line(record, error)}{more}")


def outage_error(record: logging.LogRecord) -> BaseException | None:
    """Return the error because of which the record says that a service is away; None for any other record."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    raised = record.exc_info[1] if record.exc_info else None
    # Beat's own error stands for the broker's, which it was raised after.
    behind = getattr(raised, "__context__" if type(raised).__name__ == "SchedulingError" else "__cause__", None)
    candidates = [raised, behind, *arguments]
    return next((each for each in candidates if isinstance(each, BaseException) and service_name(each)), None)


def service_name(error: BaseException) -> str | None:
    """Return the service that is away, by this error; None where the error says something else."""
    names = [f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__]
    service = next((SERVICES[name] for name in names if name in SERVICES), None)
    if service == "the database":
        state = getattr(error, "sqlstate", None) or getattr(error.__cause__, "sqlstate", None)
        return service if state is None or str(state).startswith(OUTAGE_STATES) else None
    return service


def _first_line(record: logging.LogRecord, error: BaseException) -> str:
    said = (str(record.getMessage()).strip().splitlines() or [""])[0]
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return said if reason in said else f"{said} ({reason})"


def _like(record: logging.LogRecord, message: str) -> logging.LogRecord:
    """Return a warning in the place of a record, without its traceback."""
    changes = {"msg": message, "args": None, "exc_info": None, "exc_text": None, "stack_info": None}
    level = {"levelno": logging.WARNING, "levelname": "WARNING"}
    return logging.makeLogRecord({**record.__dict__, **changes, **level})
