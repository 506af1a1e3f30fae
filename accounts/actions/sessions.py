"""Delete sessions."""

from __future__ import annotations

from django.contrib.sessions.models import Session
from django.utils import timezone


def delete_expired_sessions() -> None:
    """Delete sessions that have expired: Django keeps their rows for ever."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
