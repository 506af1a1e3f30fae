"""The worker's consumer: it runs signed task messages alone, and takes no orders from other workers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery.worker.consumer import Consumer
from django.conf import settings

from drift.health.domain.process_reports import INTERVAL
from portal.task_signatures import rejection

if TYPE_CHECKING:
    from drift.health.actions.process_reports import Reporter

logger = logging.getLogger(__name__)


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

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Return the function that takes each message."""
        handle = super().create_task_handler(*args, **options)

        def take(message: Any) -> Any:
            if reason := rejection(
                message.headers, message.body, [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
            ):
                self.refused += 1
                logger.error("refused a task message, the %d. since the start: %s", self.refused, reason)
                return message.ack_log_error(logger, self.connection_errors)  # type: ignore[attr-defined]
            return handle(message)

        return take
