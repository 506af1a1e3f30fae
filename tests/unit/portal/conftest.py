"""Fixtures of tests of the portal as a whole."""

from __future__ import annotations

import dataclasses

import pytest

from drift.health.actions import portal_checks


@pytest.fixture(autouse=True)
def _no_report_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker, beat or gateway runs beside these tests: their Redis seems to have just started, whenever it did."""
    look = portal_checks.redis_facts
    monkeypatch.setattr(portal_checks, "redis_facts", lambda: dataclasses.replace(look(), uptime=0.0))
