"""How many workloads of the estate a rule's scope matches, in the list and in the panel."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from drift.alerts.actions.ingest import ingest
from drift.alerts.queries import matched_workloads
from drift.alerts.queries.query_limits import QueryLimit, StatementTimeout
from drift.policy.actions import versions
from drift.policy.queries.versions import latest_number
from tests.unit.drift.alerts.conftest import Estate, event, make_estate, raw
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def estate(db: None, queued: list[Any]) -> Estate:
    """Drift in three workloads: two of the namespace shop, one of pay."""
    made = make_estate()
    shop = [event(container__namespace="shop", container__name=name) for name in ("cart", "web")]
    ingest(made.sensors[0], raw(*shop, event(container__namespace="pay", container__name="api")))
    return made


def in_namespace(name: str, operator: str, value: str, **changes: Any) -> dict[str, Any]:
    scope = [{"property": "namespace", "any_of": [{"operator": operator, "value": value}]}]
    clouds = [{"provider": provider} for provider in ("azure", "aws", "gcp")]
    return rule(name, resource_scope=scope, cloud_scope=clouds, **changes)


def test_the_list_has_the_number_of_workloads_of_each_rule_disabled_and_shadowed_ones_too(
    estate: Estate, admin: Any, client_of: Any
) -> None:
    rules = [
        in_namespace("All", "matches", "*"),
        in_namespace("Shop", "equals", "shop", enabled=False),
        in_namespace("Dead", "equals", "shop ", allow_list=["x"]),
    ]
    versions.save_document(admin, document(rules=rules), latest_number())
    found = client_of(admin).get("/alerts/rule-workloads/").json()
    assert (found["total"], found["rules"]) == (3, {"all": 3, "shop": 2, "dead": 0})


def _too_late(*_: object) -> NoReturn:
    raise StatementTimeout


TYPED = {"name": "New", "action": "alert", "scope_description": "S", "scope": ["azure", "aws", "gcp"]}


def test_what_takes_too_long_is_said_not_to_be_counted(
    estate: Estate, admin: Any, client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matched_workloads, "_deadline", lambda: _too_late)
    client = client_of(admin)
    found = client.get("/alerts/rule-workloads/").json()
    assert (found["total"], found["rules"], found["limit"], found["is_busy"]) == (None, None, "timeout", False)
    assert "Not counted: too many workloads" in client.get("/alerts/blocked-workloads/").content.decode()
    panel = client.post("/alerts/decided/rule/", TYPED).content.decode()
    assert "Too many workloads to count which of them its scope matches." in panel
    assert "matches no workload" not in panel
    assert "of the 3 executions in the last 7 days." in panel


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (QueryLimit.OWN_QUERY, "data-again"),
        (QueryLimit.OTHER_QUERIES, "data-again"),
        (QueryLimit.TIMEOUT, "Too many executions and workloads of the last 7 days to count here."),
    ],
)
def test_one_count_of_a_user_runs_at_a_time_and_the_next_follows_it(
    estate: Estate, admin: Any, client_of: Any, monkeypatch: pytest.MonkeyPatch, limit: QueryLimit, words: str
) -> None:
    monkeypatch.setattr(matched_workloads, "run_limited", lambda *_: limit)
    client = client_of(admin)
    assert client.get("/alerts/rule-workloads/").json()["is_busy"] is limit.is_busy
    assert words in client.post("/alerts/decided/rule/", TYPED).content.decode()
    follows = 'hx-get="/alerts/blocked-workloads/" hx-trigger="load delay:2s"'
    assert (follows in client.get("/alerts/blocked-workloads/").content.decode()) is limit.is_busy


def test_counting_has_the_user_s_limit_and_a_deadline(
    estate: Estate, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [in_namespace("Shop", "equals", "shop")]
    assert matched_workloads.workloads_in_time(admin, rules) == matched_workloads.MatchedWorkloads(3, 2, {"shop": 2})
    monkeypatch.setattr(matched_workloads, "SECONDS", -1)
    assert matched_workloads.workloads_in_time(admin, rules) == QueryLimit.TIMEOUT


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("shop", "Its scope matches <strong>2</strong> of 3 workloads."),
        ("gone", "Its scope matches no workload of the last 7 days"),
    ],
)
def test_the_panel_has_the_number_for_the_rule_as_typed(
    estate: Estate, admin: Any, client_of: Any, value: str, words: str
) -> None:
    typed = {
        "name": "New",
        "action": "ignore",
        "scope_description": "S",
        "scope": ["azure", "aws", "gcp"],
        "resource_scope.0.property": "namespace",
        "resource_scope.0.0.operator": "equals",
        "resource_scope.0.0.value": value,
    }
    assert words in client_of(admin).post("/alerts/decided/rule/", typed).content.decode()


def test_the_panel_says_what_a_rule_lets_through_that_trusts_a_writer(
    estate: Estate, admin: Any, client_of: Any
) -> None:
    typed = {
        "name": "New",
        "action": "ignore",
        "scope_description": "S",
        "scope": ["azure", "aws", "gcp"],
        "process_scope.0.property": "written_by",
        "process_scope.0.0.operator": "equals",
        "process_scope.0.0.value": "/usr/bin/dpkg",
    }
    panel = client_of(admin).post("/alerts/decided/rule/", typed).content.decode()
    assert "What it lets through" in panel
    assert "such as dpkg -i evil.deb." in panel
    assert "add Writer origin equals image." in panel
    assert (
        "What it lets through"
        not in client_of(admin).post("/alerts/decided/rule/", {**typed, "action": "alert"}).content.decode()
    )
