"""Suppression rules dismiss alerts as they open."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from accounts.models import AuditEntry
from drift.alerts.actions import suppression_rules
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.suppression_rules import SuppressionDraft
from drift.alerts.errors import ChangeConflict, Invalid
from drift.alerts.models import Alert, SuppressionRule
from drift.alerts.queries.suppression_preview import preview_suppression
from drift.fleet.models import Environment
from tests.unit.drift.alerts.conftest import Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def condition(name: str, *values: str, operator: str = "equals") -> dict[str, Any]:
    return {"property": name, "any_of": [{"operator": operator, "value": value} for value in values]}


TOOLS = SuppressionDraft(
    "Our tools", [condition("process_path", "/opt/tools/", operator="starts_with")], covers_new_content=True
)


def send(estate: Estate, **changes: Any) -> None:
    ingest(estate.sensors[0], raw(event(**changes)))


def test_a_matching_alert_is_stored_dismissed_with_the_rules_name(estate: Estate, operator: Any) -> None:
    rule = suppression_rules.save(operator, TOOLS)

    send(estate, process__path="/opt/tools/gdb")
    send(estate)

    dismissed, active = Alert.objects.order_by("pk")
    assert (dismissed.status, dismissed.verdict, dismissed.suppressed_by) == ("dismissed", "suppressed", rule)
    assert (dismissed.quiet_until, active.status) == (None, "active")
    assert dismissed.activities.get(kind="suppressed").after == {"rule": "Our tools"}
    assert SuppressionRule.objects.get().hits == 1


def test_later_events_add_to_the_suppressed_alert_while_the_rule_matches(estate: Estate, operator: Any) -> None:
    rule = suppression_rules.save(operator, TOOLS)
    for _ in range(3):
        send(estate, process__path="/opt/tools/gdb")
    assert Alert.objects.get().pulse.count == 3

    suppression_rules.delete(operator, rule.pk, rule.revision)
    assert Alert.objects.get().status == "dismissed", "deleting a rule reopens nothing"
    send(estate, process__path="/opt/tools/gdb")

    newer = Alert.objects.get(current=True)
    assert (newer.status, newer.pulse.count, newer.previous) == ("active", 1, Alert.objects.get(current=False))


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ([condition("process_path", "/var/www/html/xmrig")], True),
        ([condition("process_path", "/VAR/www/html/xmrig")], False),
        ([condition("namespace", "SHOP")], True),
        ([condition("namespace", "bank", "shop")], True),
        ([condition("namespace", "shop"), condition("cluster_name", "green")], False),
        ([condition("image_name", "team/app")], True),
        ([condition("command_line", "-o pool", operator="ends_with")], True),
        ([condition("command_line", "-o pool", operator="equals")], False),
        ([condition("process_sha256", "a" * 64)], True),
        ([condition("pod_name", "cart-", operator="starts_with"), condition("container_name", "app")], True),
    ],
)
def test_every_condition_must_hold_and_any_value_of_it(
    estate: Estate, operator: Any, conditions: list[dict[str, Any]], matches: bool
) -> None:
    suppression_rules.save(operator, SuppressionDraft("Rule", conditions, covers_new_content=True))

    send(estate)

    assert (Alert.objects.get().status == "dismissed") == matches


def test_a_rule_applies_only_in_its_environments_while_enabled_and_unexpired(estate: Estate, operator: Any) -> None:
    other = Environment.objects.create(provider="aws", account="1", name="Other")
    here = [condition("namespace", "shop")]
    wide = SuppressionDraft("Elsewhere", here, environments=[other.pk], covers_new_content=True)
    suppression_rules.save(operator, wide)
    suppression_rules.save(operator, replace(wide, name="Off", environments=[], enabled=False))
    tomorrow = now() + dt.timedelta(days=1)
    expired = suppression_rules.save(operator, replace(wide, name="Expired", environments=[], expires_at=tomorrow))
    SuppressionRule.objects.filter(pk=expired.pk).update(expires_at=now())

    send(estate)

    assert Alert.objects.get().status == "active"


def test_an_unidentified_container_is_never_suppressed(estate: Estate, operator: Any) -> None:
    all_of_blue = SuppressionDraft("All of blue", [condition("cluster_name", "blue")], covers_new_content=True)
    suppression_rules.save(operator, all_of_blue)
    decision = {"action": "alert", "rule": None, "reason": "identity_incomplete", "policy_number": None}

    send(estate, identity="incomplete", container={"id": "d" * 64}, decision=decision)

    assert Alert.objects.get().status == "active"


def test_a_preview_shows_what_would_have_been_dismissed(estate: Estate, operator: Any) -> None:
    send(estate, process__path="/opt/tools/gdb")
    send(estate)

    found = preview_suppression(operator, TOOLS.conditions, TOOLS.environments)

    assert (found.evaluated, found.dismissed, found.examples) == (2, 1, [Alert.objects.get(path="/opt/tools/gdb")])
    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (SuppressionDraft("", TOOLS.conditions), "name"),
        (SuppressionDraft("Nothing", []), "conditions"),
        (SuppressionDraft("Unknown", [condition("colour", "red")]), "conditions"),
        (SuppressionDraft("Hash", [condition("process_sha256", "a", operator="contains")]), "conditions"),
        (SuppressionDraft("Past", TOOLS.conditions, expires_at=now() - dt.timedelta(days=1)), "expires_at"),
        (SuppressionDraft("Why", TOOLS.conditions, reason="because"), "reason"),
    ],
)
def test_a_rule_that_is_not_valid_is_rejected(operator: Any, draft: SuppressionDraft, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        suppression_rules.save(operator, draft)

    assert refused.value.extra == {"field": field}


def test_two_rules_never_share_a_name(operator: Any) -> None:
    suppression_rules.save(operator, TOOLS)

    with pytest.raises(Invalid, match="has this name"):
        suppression_rules.save(operator, SuppressionDraft("OUR TOOLS", TOOLS.conditions))


def test_the_second_of_two_editors_gets_a_conflict(operator: Any) -> None:
    rule = suppression_rules.save(operator, TOOLS)
    suppression_rules.save(operator, TOOLS, rule.pk, 1)

    with pytest.raises(ChangeConflict):
        suppression_rules.save(operator, TOOLS, rule.pk, 1)
    assert list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True)) == ["created", "changed"]


def test_a_suppression_rule_cannot_name_probes_for_anybody_can_run_one(operator: Any) -> None:
    with pytest.raises(Invalid, match="must not be probe"):
        suppression_rules.save(operator, SuppressionDraft("Probes", [condition("session", "probe")]))
