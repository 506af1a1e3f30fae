"""What all tests of health share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.core.cache import cache

from accounts.queries.proxy_warnings import KEY as PROXY_KEY
from drift import queue
from drift.fleet.models import Sensor
from drift.health.actions import portal_checks
from drift.health.domain.process_reports import KEY
from drift.health.domain.task_reports import ENDED_AT
from tests.unit.drift.health import well


@pytest.fixture(autouse=True)
def _redis_runs_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis was started for these tests, and who reports nothing soon after that is not dead yet."""
    facts = portal_checks.redis_facts
    monkeypatch.setattr(portal_checks, "redis_facts", lambda: replace(facts(), uptime=3600.0))


@pytest.fixture
def node(settings: Any) -> Iterator[Sensor]:
    """One sensor; everything is well."""
    row = well.sensor()
    well.portal(settings)
    client = queue.redis_client()  # before a test changes its address
    yield row
    client.delete(KEY, ENDED_AT, "celery")
    cache.delete(PROXY_KEY)
