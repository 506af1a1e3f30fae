"""Fixtures of the policy page's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from tests.unit.drift.policy.samples import document


@pytest.fixture
def three_rules(admin: Any, queued: list[Any]) -> PolicyVersion:
    """Version 2 with the rules A, B and C."""
    return versions.save_document(admin, document("A", "B", "C"), 1).version


@pytest.fixture
def editor(admin: Any, client_of: Callable[[Any], Client]) -> Client:
    return client_of(admin)
