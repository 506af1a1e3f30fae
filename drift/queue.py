"""The only door from actions to Celery: by task name, on commit, never failing the caller.

Actions enqueue by name so that tasks may import actions without a cycle. A message that cannot
be sent is logged and left to the sweeper: PostgreSQL is the record, the queue makes it fast.
"""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

Argument = str | int | bool | None


def enqueue(task: str, *args: Argument) -> None:
    """Send `task` with `args` (ids, never objects) once the surrounding transaction has committed."""
    transaction.on_commit(lambda: send(task, *args), robust=True)


def send(task: str, *args: Argument) -> None:
    """Send at once; a broker that is away costs a log line, not the request."""
    try:
        current_app.send_task(task, args=args, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("queue unavailable, %s left to the sweeper: %s", task, error)
