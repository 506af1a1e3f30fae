"""The report of this process, every few seconds from a thread of its own (docs/health.md#how-it-is-checked)."""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from pathlib import Path
from typing import Final

import redis
from django.conf import settings

from drift import queue
from drift.health.domain.process_reports import (
    INTERVAL,
    KEY,
    SILENT_AFTER,
    encode_report,
    expired_fields,
    field_name,
    new_report,
)

logger = logging.getLogger(__name__)

HANGS_AFTER: Final = 120.0
"""Seconds without a turn of the loop, while Redis responds, after which a restart helps."""


class Reporter:
    """Reports a worker or beat while its loop turns, which it notes by calling `pulse`."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._started = self._turned = time.monotonic()
        self._is_quiet = False
        self._thread: threading.Thread | None = None

    def pulse(self) -> None:
        """Note a turn of the loop; the first one starts the reports."""
        self._turned = time.monotonic()
        if self._thread is None:
            # A daemon, with a connection to Redis of its own: a hung server must not hold the loop up.
            self._thread = threading.Thread(target=self._run, name="report", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        client = queue.new_redis_client()
        while True:
            if time.monotonic() - self._turned < SILENT_AFTER:
                self._report(client)
            if self._is_alive(client):
                _touch(settings.ALIVE_FILE)
            time.sleep(INTERVAL)

    def _is_alive(self, client: redis.Redis) -> bool:
        """Return whether the loop turned within HANGS_AFTER, or only waits for Redis: a restart would not help then."""
        if time.monotonic() - self._turned < HANGS_AFTER:
            return True
        try:
            client.ping()
        except redis.RedisError:
            self._turned = time.monotonic()
            return True
        return False

    def _report(self, client: redis.Redis) -> None:
        try:
            write_report(client, self._role, self._started)
            self._is_quiet = False
        except redis.RedisError as error:
            # Once an outage, not every three seconds.
            log = logger.debug if self._is_quiet else logger.warning
            self._is_quiet = True
            log("the report of this process was not written: %s", error)


def _touch(path: str) -> None:
    try:
        if path:
            Path(path).touch()
    except OSError as error:
        logger.warning("ALIVE_FILE cannot be touched: %s", error)


def write_report(client: redis.Redis, role: str, started: float) -> None:
    """Write this process's report. Raises redis.RedisError."""
    seconds, micros = client.time()
    now = float(seconds) + float(micros) / 1e6
    name = field_name(role, platform.node(), os.getpid())
    client.hset(KEY, name, encode_report(new_report(now, started, settings.PORTAL_VERSION)))
    rows = client.hgetall(KEY)
    if gone := expired_fields(rows, now):  # type: ignore[arg-type] # see above
        client.hdel(KEY, *gone)
