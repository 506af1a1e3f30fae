"""What all tests of health share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drift.health.actions import portal_checks


@pytest.fixture(autouse=True)
def _redis_runs_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis was started for these tests, and who reports nothing soon after that is not dead yet."""
    facts = portal_checks.redis_facts
    monkeypatch.setattr(portal_checks, "redis_facts", lambda: replace(facts(), uptime=3600.0))
