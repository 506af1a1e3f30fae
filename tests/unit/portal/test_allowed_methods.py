"""Every 405, and every answer to OPTIONS, lists the methods that the URL really answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.test import Client
from django.urls import resolve, reverse

from portal.access import TABLE
from portal.allowed_methods import allow_header
from tests.unit.portal.test_access import URLS

pytestmark = [pytest.mark.services, pytest.mark.django_db]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
SCHEMA = yaml.safe_load((settings.BASE_DIR / "docs" / "openapi.yaml").read_text())


def _allowed(response: Any) -> list[str]:
    return [method.strip() for method in response.headers["Allow"].split(",")]


def test_every_405_lists_methods_that_are_not_405(
    owner: Any, api_of: Callable[..., Client], client_of: Callable[..., Client], queued: list[Any]
) -> None:
    by_token, by_session = api_of(owner), client_of(owner)
    by_token.raise_request_exception = by_session.raise_request_exception = False
    refused = 0
    for name, arguments in URLS:
        client = by_token if "-api:" in name else by_session
        path = reverse(name, kwargs=arguments)
        found = {method: client.generic(method, path, b"{}", "application/json") for method in METHODS}
        for method, response in found.items():
            if response.status_code == 405:
                allowed = _allowed(response)
                refused += 1
                assert method not in allowed, (name, method, allowed)
                assert not {each for each in allowed if found[each].status_code == 405}, (name, method, allowed)
    assert refused > 400


def test_the_allow_header_of_every_api_path_is_what_the_schema_documents() -> None:
    for path, operations in SCHEMA["paths"].items():
        value = "7b0e5a9e-4a6c-4d1e-9f53-5f0d3c1b2a10" if path.startswith("/api/v1/sensors/{") else "1"
        found = resolve(re.sub(r"\{\w+\}", value, path))
        allowed = allow_header(TABLE[found.view_name], found.func).split(", ")

        assert set(allowed) - {"HEAD", "OPTIONS"} == {method.upper() for method in operations}, path
