"""How many recent events a rule would decide: the same as by deciding each event."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions.ingest import ingest
from drift.alerts.queries.rule_effect import RuleEffect, rule_effect
from drift.alerts.queries.rule_hits import DAYS
from sensor.policy import compile_policy, default_document, normalise
from tests.unit.drift.alerts.conftest import VERSION, Estate, event, merge, now, raw
from tests.unit.drift.policy.samples import rule
from tests.unit.sensor.policy.flat_by_hand import flat

pytestmark = [pytest.mark.services, pytest.mark.django_db]

IGNORE = {"action": "ignore", "rule": "default", "reason": "default", "policy_number": VERSION}


def where(name: str, operator: str, *texts: str) -> dict[str, Any]:
    return {"property": name, "any_of": [{"operator": operator, "value": text} for text in texts]}


def document(*rules: dict[str, Any]) -> dict[str, Any]:
    return normalise({**default_document(), "rules": list(rules)})


def events() -> list[dict[str, Any]]:
    """Of two namespaces, three files, two parents and two pods, some days old and some counted."""
    found = []
    for number, (space, path, parent, pod) in enumerate(
        product(("shop", "pay"), ("/a", "/bin/b", "/opt/c"), ("bash", "sh"), ("cart-1", "till-2"))
    ):
        changes = {
            "container__namespace": space,
            "container__pod_name": pod,
            "process__path": path,
            "process__name": path.rpartition("/")[2],
            "process__parent__name": parent,
            "at": now() - dt.timedelta(days=number % DAYS),
        }
        many = {"mode": "summary", "count": number} if number % 3 == 1 else {}
        found.append(event(**changes, **many, decision=IGNORE))
    return found


def decided_one_by_one(found: list[dict[str, Any]], policy: dict[str, Any], rule_id: str) -> int:
    """Return the same counts by deciding every event."""
    compiled = compile_policy(policy)
    total = 0
    for each in found:
        facts = flat(each, "azure", "sub-1", "blue")
        total += each["count"] if compiled.decide(facts).rule == rule_id else 0
    return total


SHOP = {"resource_scope": [where("namespace", "equals", "shop")]}
CART = {"resource_scope": [where("pod_name", "starts_with", "cart")]}
BASH = {"process_scope": [where("parent_process", "equals", "bash")]}
LISTED = {"allow_list": ["/a", "b"], "unlisted": "next_rule"}


@pytest.mark.parametrize(
    "rules",
    [
        [SHOP],
        [SHOP, {}],
        [LISTED, SHOP],
        [CART, {**SHOP, **LISTED}],
        [BASH, LISTED, {}],
        [{**SHOP, "enabled": False}, {}],
        [{}, SHOP],
        [merge(SHOP, BASH), merge(CART, LISTED), SHOP],
    ],
)
def test_each_rule_s_count_equals_that_of_deciding_every_event(
    estate: Estate, reader: Any, rules: list[dict[str, Any]]
) -> None:
    found = events()
    ingest(estate.sensors[0], raw(*found))
    policy = document(*(rule(f"Rule {number}", **each) for number, each in enumerate(rules)))

    for each in policy["rules"]:
        total = sum(one["count"] for one in found)
        assert rule_effect(reader, policy, each["id"]) == RuleEffect(
            decided_one_by_one(found, policy, each["id"]), total, DAYS
        )


def test_older_events_and_those_that_no_policy_decides_are_left_out(estate: Estate, reader: Any) -> None:
    stranger = {"action": "alert", "rule": None, "reason": "identity_incomplete", "policy_number": VERSION}
    ingest(estate.sensors[0], raw(event(identity="incomplete", decision=stranger)))
    ingest(estate.sensors[0], raw(event(at=now() - dt.timedelta(days=DAYS)), event()))

    assert rule_effect(reader, document(rule("All")), "all") == RuleEffect(1, 1, DAYS)


def test_after_a_timeout_the_counted_days_are_returned(
    estate: Estate, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(
        estate.sensors[0],
        raw(event(), event(at=now() - dt.timedelta(days=1)), event(process__path="/other", process__name="other")),
    )
    policy = document(rule("All", allow_list=["xmrig"], unlisted="next_rule"))
    assert rule_effect(reader, policy, "all", seconds=-1) == RuleEffect(0, 0, 0)

    monkeypatch.setattr("drift.alerts.queries.rule_effect.MAX_GROUPS", 2)
    assert rule_effect(reader, policy, "all") == RuleEffect(0, 0, 0)
    monkeypatch.setattr("drift.alerts.queries.rule_effect.MAX_GROUPS", 3)
    found = rule_effect(reader, policy, "all")
    assert (found, found.is_complete) == (RuleEffect(2, 3, DAYS), True)


def test_the_panel_shows_how_many_events_the_typed_rule_would_decide(
    estate: Estate, reader: Any, client_of: Callable[[Any], Client], django_assert_max_num_queries: Any
) -> None:
    apart = {"container__namespace": "pay", "decision": IGNORE}
    ingest(estate.sensors[0], raw(event(**apart), event(mode="summary", count=1_200, **apart), event()))
    client = client_of(reader)
    panel = {"name": "All", "action": "ignore", "scope_description": "s", "scope": "azure", "enabled": "on"}

    with django_assert_max_num_queries(38):  # four a day and the user's limit, whatever is stored
        answer = client.post("/alerts/decided/rule/", panel).content.decode()

    assert "It would decide <strong>1,201</strong> of the 1,202 executions in the last 7 days." in answer
    assert client.post("/alerts/decided/rule/", {**panel, "name": ""}).content == b""
