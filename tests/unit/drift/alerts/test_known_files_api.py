"""Lists of known files by the API: as on the page, within the scope, and in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry
from drift.alerts.actions.hash_lists import add_hash_list
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import HashList
from tests.unit.drift.alerts.conftest import Estate, event, raw
from tests.unit.drift.alerts.test_scopes import limited

pytestmark = [pytest.mark.services, pytest.mark.django_db]
A, B = "a" * 64, "b" * 64
ClientOf = Callable[[Any], Client]
URL = "/api/v1/known-files/"


def look_up(api: Client, body: dict[str, Any]) -> Any:
    return api.post(f"{URL}look-up/", body, content_type="application/json")


def test_lists_are_listed_by_name(owner: Any, reader: Any, api_of: ClientOf) -> None:
    add_hash_list(owner, "Feed", "bad", [A, B])
    add_hash_list(owner, "Apt", "good", [A])

    lists = api_of(reader).get(URL).json()["lists"]

    assert [(each["name"], each["verdict"], each["size"]) for each in lists] == [("Apt", "good", 1), ("Feed", "bad", 2)]
    assert {each["created_by"] for each in lists} == {owner.email}


def test_files_are_looked_up_in_the_order_given_and_audited(
    estate: Estate, owner: Any, reader: Any, api_of: ClientOf
) -> None:
    ingest(estate.sensors[0], raw(event()))
    add_hash_list(owner, "Feed", "good", [B])

    found = look_up(api_of(reader), {"sums": [B, A.upper(), B]}).json()["files"]

    assert [(each["sha256"], each["good"], each["workloads"], each["open_alerts"]) for each in found] == [
        (B, ["Feed"], 0, 0),
        (A, [], 1, 1),
    ]
    assert AuditEntry.objects.filter(verb="looked up", actor=reader).count() == 1


def test_a_look_up_counts_the_scope_alone(estate: Estate, reader: Any, api_of: ClientOf) -> None:
    ingest(estate.sensors[0], raw(event()))
    limited(reader, cluster=estate.sensors[2].cluster)

    found = look_up(api_of(reader), {"sums": [A]}).json()["files"][0]

    assert (found["workloads"], found["first_seen_on"], found["open_alerts"]) == (0, None, 0)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sums": []},
        {"sums": [A] * 1_001},
        {"sums": A},
        {"sums": ["a" * 63]},
        {"sums": [f"{A}\n"]},
        {"sums": ["١" * 64]},
        {"sums": [1]},
        {"sums": [A], "more": 1},
    ],
)
def test_what_is_no_sum_is_refused_and_not_audited(reader: Any, api_of: ClientOf, body: dict[str, Any]) -> None:
    assert look_up(api_of(reader), body).status_code == 400
    assert not AuditEntry.objects.filter(verb="looked up").exists()


def test_no_token_adds_a_list_of_known_files(owner: Any, api_of: ClientOf) -> None:
    """Not even an Owner's, with all scopes: by the API or as a page."""
    api = api_of(owner)
    values = {"name": "Feed", "verdict": "good", "text": A}

    answers = [api.post(URL, values), api.put(URL, values, content_type="application/json"), api.delete(URL)]
    assert [answer.status_code for answer in answers] == [405] * 3
    assert api.post("/alerts/known-files/add/", values).status_code in (302, 401, 403)
    assert not HashList.objects.exists()
