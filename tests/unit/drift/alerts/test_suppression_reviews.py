"""What a review of a suppression rule covers, and what is known later."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions import suppression_rules
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.suppression_rules import ReviewRequired, SuppressionDraft
from drift.alerts.models import Alert, Resolution, SuppressionRule
from tests.database import as_owner
from tests.unit.drift.alerts.conftest import Estate, raw, save_reviewed
from tests.unit.drift.alerts.test_suppression_content import close_all, tool

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}
URL = "/alerts/suppression/rule/"
TOOL = "/opt/tools/gdb"
KNOWN, OTHER = "a" * 64, "e" * 64


def test_what_happens_after_a_review_is_not_part_of_it(estate: Estate, operator: Any) -> None:
    ingest(estate.sensors[0], raw(tool()))
    draft = SuppressionDraft("Tools", [{"property": "process_path", "any_of": [{"operator": "equals", "value": TOOL}]}])
    with pytest.raises(ReviewRequired) as required:
        suppression_rules.save(operator, draft)
    ingest(estate.sensors[0], raw(tool(process__sha256=OTHER)))

    rule = suppression_rules.save(operator, draft, reviewed=required.value.preview.token)

    assert set(rule.contents.values_list("sha256", flat=True)) == {KNOWN}


def test_a_verdict_after_the_review_asks_again(estate: Estate, operator: Any) -> None:
    ingest(estate.sensors[0], raw(tool()))
    draft = SuppressionDraft("Tools", [{"property": "process_path", "any_of": [{"operator": "equals", "value": TOOL}]}])
    with pytest.raises(ReviewRequired) as required:
        suppression_rules.save(operator, draft)
    close_all(operator, Resolution.TRUE_POSITIVE)

    with pytest.raises(ReviewRequired) as again:
        suppression_rules.save(operator, draft, reviewed=required.value.preview.token)

    assert again.value.preview.true_positives == [Alert.objects.get().pk]


def test_rules_from_before_and_of_older_portals_keep_their_meaning(estate: Estate, operator: Any) -> None:
    conditions = [{"property": "process_path", "any_of": [{"operator": "equals", "value": TOOL}]}]
    with as_owner() as cursor:
        cursor.execute(
            "INSERT INTO alerts_suppressionrule"
            " (name, enabled, conditions, reason, comment, hits, created_at, revision)"
            " VALUES ('Old', true, %s, 'expected', '', 0, now(), 1)",
            [json.dumps(conditions)],
        )

    ingest(estate.sensors[0], raw(tool(process__sha256=OTHER)))

    rule = SuppressionRule.objects.get()
    assert rule.covers_new_content
    assert Alert.objects.get().suppressed_by == rule
    draft = SuppressionDraft("Old", conditions, comment="Still", covers_new_content=True)
    assert suppression_rules.save(operator, draft, rule.pk, 1).covers_new_content


WHOLE = {"process_path": TOOL}
BY_HASH = {"process_path": TOOL, "process_sha256": KNOWN}


@pytest.mark.parametrize("conditions", [WHOLE, BY_HASH], ids=["by path", "by hash"])
@pytest.mark.parametrize("covers_new_content", [False, True])
@pytest.mark.parametrize("place", ["here", "elsewhere"])
def test_a_rule_hides_nothing_that_was_found_to_be_an_attack_since_its_review(
    estate: Estate, operator: Any, conditions: dict[str, str], covers_new_content: bool, place: str
) -> None:
    ingest(estate.sensors[0], raw(tool()))
    values = [
        {"property": name, "any_of": [{"operator": "equals", "value": each}]} for name, each in conditions.items()
    ]
    draft = SuppressionDraft("Tools", values, covers_new_content=covers_new_content)
    rule = save_reviewed(operator, draft)
    close_all(operator)
    ingest(estate.sensors[0], raw(tool(container__id="d" * 64)))
    hidden = Alert.objects.latest("pk")
    assert hidden.suppressed_by == rule

    found = {"process__path": "/tmp/.x", "process__name": ".x"} if place == "elsewhere" else {"identity": "incomplete"}
    ingest(estate.sensors[2], raw(tool(**found)))
    close_all(operator, Resolution.TRUE_POSITIVE, pk=Alert.objects.latest("pk").pk)
    ingest(estate.sensors[0], raw(tool(container__id="e" * 64), tool(container__id="d" * 64)))

    newest = Alert.objects.latest("pk")
    assert (newest.status, newest.suppressed_by, newest.binary.sha256) == ("active", None, KNOWN)
    close_all(operator)
    again = save_reviewed(operator, replace(draft, reviews_again=True), rule.pk, rule.revision)
    ingest(estate.sensors[0], raw(tool(container__id="f" * 64)))
    knows = covers_new_content or "process_sha256" in conditions
    assert (Alert.objects.latest("pk").suppressed_by == again) == knows, "its author has looked at the attack"
