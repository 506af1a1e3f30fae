"""What a dry run of a blocking rule would have blocked: the outcome of events and alerts, and its counts."""

from __future__ import annotations

from typing import Any

import pytest

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, DriftEvent
from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.domain.approval import ApprovalRule
from drift.policy.queries.drafts import draft_state
from drift.policy.queries.versions import latest_number
from tests.unit.drift.alerts.conftest import Estate, event, make_estate, raw
from tests.unit.drift.policy.page_client import HTMX, PAGE, send, text
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]
CLOUDS = [{"provider": provider} for provider in ("azure", "aws", "gcp")]


def dry(**changes: Any) -> dict[str, Any]:
    return rule("Dry", **{"action": "block", "dry_run": True, "cloud_scope": CLOUDS, **changes})


def decided(number: int, action: str = "alert") -> dict[str, Any]:
    return {"action": action, "rule": "dry", "reason": "scope", "policy_number": number}


@pytest.fixture
def estate(db: None, queued: list[Any]) -> Estate:
    return make_estate()


def outcomes(estate: Estate, admin: Any, rules: list[dict[str, Any]], *kinds: str) -> list[str]:
    """Save the rules, and return the outcomes of drift of these kinds that the rule decided."""
    number = versions.save_document(admin, document(rules=rules), latest_number()).version.number
    ingest(estate.sensors[0], raw(*(event(kind=kind, decision=decided(number)) for kind in kinds)))
    return [DriftEvent.objects.get(detail__isnull=False, binary__kind=kind).outcome for kind in kinds]


def test_events_and_alerts_of_a_dry_run_have_the_outcome(estate: Estate, admin: Any) -> None:
    assert outcomes(estate, admin, [dry()], "new_file") == ["would_block"]
    alert = Alert.objects.get()
    assert (alert.outcome, alert.action) == ("would_block", "alert")


def test_kinds_that_blocking_would_not_stop_have_it_not(estate: Estate, admin: Any) -> None:
    assert outcomes(estate, admin, [dry()], "new_file", "volume", "loader") == ["would_block", "none", "none"]


def test_a_routine_kind_has_it_where_the_rule_names_it(estate: Estate, admin: Any) -> None:
    kinds = [{"property": "drift_kind", "any_of": [{"operator": "equals", "value": "volume"}]}]
    assert outcomes(estate, admin, [dry(process_scope=kinds)], "volume") == ["would_block"]


def test_a_rule_that_alerts_changes_no_outcome(estate: Estate, admin: Any) -> None:
    assert outcomes(estate, admin, [rule("Dry", action="alert", cloud_scope=CLOUDS)], "new_file") == ["none"]


def test_what_was_stopped_or_is_of_an_unknown_version_keeps_its_outcome(estate: Estate, admin: Any) -> None:
    number = versions.save_document(admin, document(rules=[dry()]), latest_number()).version.number
    stopped = event(decision=decided(number, "block"), outcome="blocked")
    ingest(estate.sensors[0], raw(stopped, event(kind="fileless", decision=decided(99))))
    assert sorted(DriftEvent.objects.values_list("outcome", flat=True)) == ["blocked", "none"]


def test_an_alert_is_filtered_by_the_outcome_and_says_what_it_means(estate: Estate, admin: Any, client_of: Any) -> None:
    outcomes(estate, admin, [dry()], "new_file")
    client = client_of(admin)
    shown = text(client.get("/alerts/?outcome=would_block"))
    assert f"/alerts/{Alert.objects.get().pk}/" in shown
    details = text(client.get(f"/alerts/{Alert.objects.get().pk}/"))
    assert "A rule would block it, but only records that." in details


def test_counts_by_rule_and_workload_are_beside_the_backtest_and_in_the_panel(
    estate: Estate, admin: Any, client_of: Any
) -> None:
    number = versions.save_document(admin, document(rules=[dry()]), latest_number()).version.number
    many = event(container__namespace="shop", decision=decided(number))
    ingest(
        estate.sensors[0],
        raw(many, event(container__namespace="pay", mode="summary", count=7, decision=decided(number))),
    )
    client = client_of(admin)
    shown = text(client.get("/alerts/would-block/"))
    assert "<strong>Dry</strong>: would have blocked <strong>8</strong> executions in 2 workloads." in shown
    assert "pay/" in shown
    assert "in the last 7 days" in text(client.get("/alerts/would-block/?rule=dry"))
    assert client.get("/alerts/would-block/?rule=other").content == b""
    assert "/alerts/would-block/" in text(client.get(PAGE + "review/", headers=HTMX))


def test_the_panel_switches_it_on_for_a_blocking_rule_alone(admin: Any, client_of: Any) -> None:
    typed = {"rule_id": "", "name": "Dry", "scope_description": "S", "scope": "azure", "dry_run": "on"}
    client = client_of(admin)
    assert send(client, admin, "rule/apply/", {**typed, "action": "block"}).status_code == 200
    assert draft_state(admin).document["rules"][-1]["dry_run"] is True
    rule_id = draft_state(admin).document["rules"][-1]["id"]
    assert send(client, admin, "rule/apply/", {**typed, "action": "alert", "rule_id": rule_id}).status_code == 200
    assert "dry_run" not in draft_state(admin).document["rules"][-1]


def test_the_review_shows_the_switch(admin: Any, client_of: Any) -> None:
    versions.save_document(admin, document(rules=[dry()]), latest_number())
    drafts.change_draft(draft_state(admin), edits.change_rule("dry", {**dry(), "dry_run": False}))
    assert "Only record what would be blocked" in text(client_of(admin).get(PAGE + "review/", headers=HTMX))


def test_ending_a_dry_run_needs_a_second_person_as_any_blocking_rule() -> None:
    before, after = document(rules=[dry()]), document(rules=[dry(dry_run=False)])
    assert ApprovalRule("blocking").applies(before, after)
