"""Publish heads of the audit log's chain, to be kept where nobody who can write to the database can change them."""

from __future__ import annotations

import logging
import os

from django.conf import settings
from django.utils import timezone

from accounts.audit_chain import Head
from accounts.queries.audit_verification import current_head

logger = logging.getLogger(__name__)


def publish_head() -> Head:
    """Log the present head, and append it to AUDIT_HEAD_FILE if that is set. Returns it."""
    head = current_head()
    logger.info("audit log head %s", head)
    if settings.AUDIT_HEAD_FILE:
        try:
            _append(settings.AUDIT_HEAD_FILE, f"{timezone.now():%Y-%m-%dT%H:%M:%SZ} {head}\n")
        except OSError as error:
            logger.warning("audit log head not written to %s: %s", settings.AUDIT_HEAD_FILE, error.strerror)
    return head


def _append(path: str, line: str) -> None:
    # One write of less than a page: heads of two processes never mix. The file may be append-only (chattr +a).
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
