"""API calls take the query parameters that the OpenAPI schema documents, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.test import Client
from django.urls import resolve, reverse

from portal.access import TABLE, Open
from tests.unit.portal.test_access import URLS

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ApiOf = Callable[[Any], Client]
CALLS = {
    name: reverse(name, kwargs=arguments)
    for name, arguments in URLS
    if "-api:" in name and not isinstance(TABLE[name].read, Open) and not isinstance(TABLE[name].change, Open)
}
SCHEMA = yaml.safe_load((settings.BASE_DIR / "docs" / "openapi.yaml").read_text())


def operations() -> Iterator[tuple[str, str]]:
    """Yield the path and method of every operation that users call."""
    for name, path in CALLS.items():
        view: Any = resolve(path).func
        for method in ("get", "post", "put", "patch", "delete"):
            if hasattr(view.cls, method) and TABLE[name].required(method.upper()) is not None:
                yield path, method


def test_every_operation_rejects_an_unknown_query_parameter_by_its_name(
    owner: Any, api_of: ApiOf, queued: list[Any]
) -> None:
    client = api_of(owner)
    checked = 0
    for path, method in operations():
        for name in ("search", "limi\u0442", "a\0b"):
            response = client.generic(method.upper(), path, b"{}", "application/json", query_params={name: "1"})
            body = response.json()
            assert (response.status_code, body["code"], body["field"]) == (400, "unknown_parameter", name), (path, name)
            checked += 1
    assert checked > 130


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("search=zzz", "search"),
        ("limit=2", "limit"),
        ("status=nonsense", "status"),
        ("status=active&status=nonsense", "status"),
        ("status=", "status"),
        ("severity=critical", "severity"),
        ("provider=ibm", "provider"),
        ("kind=NEW_FILE", "kind"),
        ("outcome=killed", "outcome"),
        ("binary=abc", "binary"),
        ("binary=%C2%B2", "binary"),
        ("binary=1%0A", "binary"),
        ("incident=-1", "incident"),
        ("binary=" + "9" * 19, "binary"),
        ("assignee=you", "assignee"),
        ("incident=any", "incident"),
        ("mentions=you", "mentions"),
        ("sample=true", "sample"),
        ("aside=no", "aside"),
        ("sensor=1", "sensor"),
        ("from=yesterday", "from"),
        ("day=2026-02-30", "day"),
        ("hour=8-1", "hour"),
        ("hour=1-24", "hour"),
        ("namespace=a%00b", "namespace"),
        ("image=" + "a" * 1025, "image"),
        ("&".join(["rule=a"] * 201), "rule"),
        ("q=" + "a" * 257, "q"),
        ("q=a%00b", "q"),
        ("q=a&q=b", "q"),
        ("newer=2", "newer"),
        ("older=2y", "older"),
        ("until=tomorrow", "until"),
        ("hash=1234abc", "hash"),
        ("verdict=good", "verdict"),
        ("sort=nonsense", "sort"),
        ("sort=--started", "sort"),
        ("size=0", "size"),
        ("size=201", "size"),
        ("size=ten", "size"),
        ("size=1&size=2", "size"),
        ("after=bogus", "after"),
    ],
)
def test_a_bad_value_of_an_alert_filter_is_rejected_by_its_name(
    reader: Any, api_of: ApiOf, query: str, field: str
) -> None:
    response = api_of(reader).get(f"/api/v1/alerts/?{query}")

    assert response.status_code == 400
    assert response.json()["field"] == field


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=&sort=&after=",
        "status=any",
        "status=active&status=resolved",
        "severity=high&provider=aws&kind=new_file&outcome=none&aside=yes&sample=yes&mentions=me",
        "cluster=1&environment=2&binary=3&assignee=me&assignee=none&incident=none&incident=4",
        "sensor=7b0e5a9e-4a6c-4d1e-9f53-5f0d3c1b2a10&from=2026-01-01&day=2026-01-02&hour=1-0&hour=7-23",
        "namespace=&rule=&image=%20a",
        "size=200",
    ],
)
def test_documented_values_of_alert_filters_are_accepted(reader: Any, api_of: ApiOf, query: str) -> None:
    assert api_of(reader).get(f"/api/v1/alerts/?{query}").status_code == 200


def test_every_parameter_of_the_schema_is_known_and_given_once_unless_it_is_a_list(reader: Any, api_of: ApiOf) -> None:
    checked = 0
    for path, methods in SCHEMA["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", []):
            if parameter["in"] != "query" or not path.startswith("/api/v1/") or "{" in path:
                continue
            pairs = {parameter["name"]: ["x", "x"]}
            response = api_of(reader).get(path, pairs)
            if response.status_code == 403:
                continue
            code = "" if response.status_code == 200 else response.json()["code"]
            assert code != "unknown_parameter", (path, pairs)
            assert (code == "repeated_parameter") == (parameter["schema"].get("type") != "array"), (path, pairs)
            checked += 1
    assert checked > 30


def test_a_long_unknown_name_is_shortened_in_the_response(reader: Any, api_of: ApiOf) -> None:
    response = api_of(reader).get("/api/v1/alerts/", {"a" * 5_000: "1"})

    assert (response.status_code, len(response.json()["field"])) == (400, 101)


def test_a_caller_without_permission_learns_no_parameters() -> None:
    assert Client().get("/api/v1/alerts/?search=1").status_code == 401


def test_calls_of_sensors_ignore_parameters_as_they_ignore_keys() -> None:
    assert Client().get("/api/v1/sensors/me/policy?version=9").status_code == 401
