"""The worker's consumer: it runs signed task messages alone, takes no orders from other workers, and connects anew
after whatever Redis leaves without an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from celery.worker import state
from celery.worker.consumer import Consumer
from django.conf import settings

from drift.health.domain.process_reports import INTERVAL
from portal.task_signatures import rejection

if TYPE_CHECKING:
    from drift.health.actions.process_reports import Reporter

logger = logging.getLogger(__name__)

MAX_PAUSE: Final = 5
"""Seconds between two attempts to reach Redis; Celery's own grow to 30, for which a saved version would wait."""


class SignedConsumer(Consumer):
    """Celery's consumer, which drops and counts messages that the portal did not sign."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.refused = 0
        self.reporter: Reporter | None = None
        # Workers would tell each other over Redis which tasks are revoked; nothing signs that.
        super().__init__(*args, **{**options, "without_mingle": True, "without_gossip": True})

    def on_ready(self) -> None:
        """Report this worker from now on while its loop turns; called again after each outage of Redis."""
        super().on_ready()
        # Not when this module is loaded: Django is not ready then.
        from drift.health.actions.process_reports import Reporter

        self.reporter = self.reporter or Reporter("worker")
        self.reporter.pulse()
        # The loop's own timer: a loop that hangs, or that waits for Redis, is not reported.
        self.timer.call_repeatedly(INTERVAL, self.reporter.pulse)

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once Redis can be reached."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_max=MAX_PAUSE)
        return super().ensure_connected(conn)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Return the function that takes each message."""
        handle = super().create_task_handler(*args, **options)

        def take(message: Any) -> Any:
            # As methods of these names: a pool that stops looks for them, to report the tasks that ended meanwhile.
            message.ack_log_error = MethodType(ack_log_error, message)
            message.reject_log_error = MethodType(reject_log_error, message)
            if reason := rejection(
                message.headers, message.body, [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
            ):
                self.refused += 1
                logger.error("refused a task message, the %d. since the start: %s", self.refused, reason)
                return ack_log_error(message, logger, self.connection_errors)  # type: ignore[attr-defined]
            return handle(message)

        return take


def ack_log_error(message: Any, log: logging.Logger, errors: tuple[type[Exception], ...], **options: bool) -> None:
    """Acknowledge a message, in place of kombu's method of this name."""
    _settle(partial(message.ack, **options), log, errors)


def reject_log_error(message: Any, log: logging.Logger, errors: tuple[type[Exception], ...], **options: bool) -> None:
    """Reject a message, in place of kombu's method of this name."""
    _settle(partial(message.reject, **options), log, errors)


def _settle(settle: Callable[[], None], log: logging.Logger, errors: tuple[type[Exception], ...]) -> None:
    """Acknowledge or reject a message; let a connection error end the connection, after which the worker makes another.

    Celery itself only logs the error. The message then counts as unfinished for as long as the connection lasts: a
    worker with one process would wait for it and take no other task, though Redis has long been back. A worker that
    stops connects no more, and goes on to the other messages.
    """
    try:
        settle()
    except errors as error:
        log.warning("a task's end could not be reported: %r", error)
        if state.should_stop is None and state.should_terminate is None:
            raise
