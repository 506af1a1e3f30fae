"""Expired sessions are deleted."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from portal.celery import BEAT_SCHEDULE, app

pytestmark = [pytest.mark.services, pytest.mark.django_db]
TASK = "accounts.delete_expired_sessions"


def test_expired_sessions_are_deleted_and_others_stay() -> None:
    for key, minutes in (("expired", -1), ("live", 1)):
        Session.objects.create(session_key=key, expire_date=timezone.now() + dt.timedelta(minutes=minutes))

    app.loader.import_default_modules()
    app.tasks[TASK]()

    assert list(Session.objects.values_list("session_key", flat=True)) == ["live"]


def test_every_scheduled_task_exists_and_sessions_are_among_them() -> None:
    app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in BEAT_SCHEDULE.values()}

    assert TASK in scheduled
    assert scheduled <= app.tasks.keys()
