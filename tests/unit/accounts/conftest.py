"""An issuer for tests, without a network."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache

from accounts.adapters import IssuerAdapter
from tests.unit.accounts.fake_issuer import ISSUER, FakeIssuer


@pytest.fixture
def issuer_settings(settings: Any) -> None:
    cache.clear()
    settings.OIDC_ISSUER = ISSUER
    settings.OIDC_CLIENT_ID = "portal"
    settings.OIDC_CLIENT_SECRET = "client-secret"
    settings.OIDC_ROLES = {"soc": "operator", "cn=sec,dc=example": "admin", "boss": "owner", "dev": "reader"}


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch, issuer_settings: None) -> FakeIssuer:
    fake = FakeIssuer()
    monkeypatch.setattr(IssuerAdapter, "get_requests_session", lambda self: fake)
    return fake
