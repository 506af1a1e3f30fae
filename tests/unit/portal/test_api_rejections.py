"""Under /api/ every rejection is JSON, whatever the token, path and method: never a redirect or a page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken
from portal.access import TABLE, Open
from tests.unit.portal.test_access import URLS

pytestmark = [pytest.mark.services, pytest.mark.django_db]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get")
HEADERS = {
    "none": None,
    "empty": "Bearer",
    "blank": "Bearer   ",
    "unknown": "Bearer dwp_0123456789ab_AAAA",
    "malformed": "Bearer dwp_",
    "long": "Bearer dwp_" + "a" * 5000 + "_b",
    "latin": "Bearer dwp_\xe4\xf6_\xff",
    "digits": "Bearer dwp_\xb2\xb3_x",
    "surrogate": "Bearer dwp_x_\udcff",
    "nul": "Bearer dwp_a\x00b_x",
    "sensor": "Bearer dws_0123456789ab_AAAA",
    "basic": "Basic dXNlcjpwYXNz",
    "lower case": "bearer dwp_x_y",
    "two words": "Bearer a b",
}
UNKNOWN = ("/api/", "/api/v1/", "/api/v1/none/", "/api/v1/policy/versions", "/api/v1/\xff/", "/api/v1/%00/")
CALLS = [(name, reverse(name, kwargs=arguments)) for name, arguments in URLS if "-api:" in name]


def _send(client: Client, method: str, path: str, header: str | None) -> Any:
    client.raise_request_exception = False
    extra: dict[str, Any] = {} if header is None else {"HTTP_AUTHORIZATION": header}
    return client.generic(method, path, b"{}", "application/json", **extra)


def _expect_json(response: Any, method: str) -> None:
    assert response.status_code < 500 and not 300 <= response.status_code < 400, response
    if response.status_code in {401, 403, 404, 405, 429}:
        assert response["Content-Type"] == "application/json", response["Content-Type"]
        assert method == "HEAD" or {"code", "message"} <= set(response.json())


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_every_call_rejects_a_bad_token_as_json(header: str | None, queued: list[Any]) -> None:
    for name, path in CALLS:
        for method in METHODS:
            response = _send(Client(), method, path, header)
            _expect_json(response, method)
            who = TABLE[name].required(method.upper())
            if not isinstance(who, Open):
                assert response.status_code in {401, 405}, (name, method)


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_path_is_not_found_as_json(path: str, reader: Any, api_of: Callable[..., Client]) -> None:
    for method in METHODS:
        for client in (Client(), api_of(reader)):
            response = _send(client, method, path, None)
            _expect_json(response, method)
            assert response.status_code == 404, (method, response.status_code)


@pytest.mark.parametrize("state", ["revoked", "expired", "closed", "one-time password"])
def test_a_token_that_ended_is_rejected_as_json(state: str, admin: Any, api_of: Callable[..., Client]) -> None:
    client, now = api_of(admin), timezone.now()
    if state == "revoked":
        ApiToken.objects.update(revoked_at=now)
    elif state == "expired":
        ApiToken.objects.update(expires_at=now - dt.timedelta(seconds=1))
    elif state == "closed":
        admin.is_active = False
        admin.save()
    else:
        admin.must_change_password = True
        admin.save()
    for name, path in CALLS:
        for method in METHODS:
            if isinstance(who := TABLE[name].required(method.upper()), Open) or who is None:
                continue
            response = _send(client, method, path, None)
            _expect_json(response, method)
            assert response.status_code == (403 if state == "one-time password" else 401), (name, method)
