"""The portal shows which version it is, with its commit, as sensors do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sensor import __version__
from sensor.version import VERSION

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def test_the_account_menu_shows_the_version_with_its_commit(reader: Any, client_of: Callable[[Any], Client]) -> None:
    page = client_of(reader).get(reverse("home"), follow=True).content.decode()
    assert f"Driftwatch {VERSION}</p>" in page


def test_it_is_hidden_from_signed_out_users(db: None) -> None:
    assert VERSION not in Client().get(reverse("account_login")).content.decode()


def test_the_api_s_schema_has_the_release(reader: Any, api_of: Callable[[Any], Any]) -> None:
    assert f"version: {__version__}" in api_of(reader).get("/api/schema/").content.decode()
