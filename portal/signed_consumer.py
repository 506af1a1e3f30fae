"""The worker's consumer: it runs signed task messages alone, and takes no orders from other workers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer
from django.conf import settings

from portal.task_signatures import rejection

logger = logging.getLogger(__name__)


class SignedConsumer(Consumer):
    """Celery's consumer, which drops and counts messages that the portal did not sign."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.refused = 0
        # Workers would tell each other over Redis which tasks are revoked; nothing signs that.
        super().__init__(*args, **{**options, "without_mingle": True, "without_gossip": True})

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
