"""What a suppression rule never dismisses: events beside those that it matches, known-bad files, unreviewed attacks,
command lines whose end is unknown."""

from __future__ import annotations

import datetime as dt
import shlex
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from drift.alerts.actions import suppression_rules
from drift.alerts.actions.hash_lists import add_hash_list
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.suppression_rules import ReviewRequired, SuppressionDraft
from drift.alerts.domain.condition_values import printed_value, read_value
from drift.alerts.domain.suppression_match import COMMAND_LINE
from drift.alerts.models import Alert, HashVerdict, Resolution, SuppressionRule
from tests.unit.drift.alerts.conftest import Estate, now, raw, save_reviewed
from tests.unit.drift.alerts.test_suppression_content import (
    HTMX,
    KNOWN,
    TOOL,
    URL,
    ClientOf,
    close_all,
    fields_of,
    tool,
)

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ONLY_QUIET = [
    {"property": "process_path", "any_of": [{"operator": "equals", "value": TOOL}]},
    {"property": "process_sha256", "any_of": [{"operator": "equals", "value": KNOWN}]},
    {"property": "command_line", "any_of": [{"operator": "equals", "value": "gdb -p 1"}]},
]
"""The tool with its usual arguments: the same file with others has the same fingerprint."""


@pytest.mark.parametrize("changes", [{}, {"covers_new_content": True}], ids=["reviewed", "any content"])
@pytest.mark.parametrize("names_content", [True, False], ids=["by hash", "by path"])
def test_no_rule_dismisses_what_is_known_to_be_bad(
    estate: Estate, operator: Any, owner: Any, changes: dict[str, Any], *, names_content: bool
) -> None:
    conditions = ONLY_QUIET[:2] if names_content else ONLY_QUIET[:1]
    ingest(estate.sensors[0], raw(tool()))
    save_reviewed(operator, SuppressionDraft("Tool", conditions, **changes))
    close_all(operator)
    ingest(estate.sensors[0], raw(tool()))
    assert Alert.objects.latest("pk").status == "dismissed"

    add_hash_list(owner, "Incident 7", HashVerdict.BAD, [KNOWN])
    ingest(estate.sensors[0], raw(tool()))

    newest = Alert.objects.latest("pk")
    assert (newest.status, newest.suppressed_by, newest.pulse.count) == ("active", None, 1)


def test_what_arrives_with_a_suppressed_event_is_not_dismissed_with_it(estate: Estate, operator: Any) -> None:
    save_reviewed(operator, SuppressionDraft("Only quiet", ONLY_QUIET))
    early = timezone.now() - dt.timedelta(seconds=5)

    ingest(estate.sensors[0], raw(tool(at=early), tool(process__argv=["gdb", "-o", "pool:3333"])))

    alert = Alert.objects.get()
    assert (alert.status, alert.suppressed_by, alert.pulse.count) == ("active", None, 2)


@pytest.mark.parametrize("seconds", [5, 0, -5, -3600])
def test_what_arrives_late_is_not_counted_to_a_dismissed_alert_that_its_rule_would_not_dismiss(
    estate: Estate, operator: Any, seconds: int
) -> None:
    save_reviewed(operator, SuppressionDraft("Only quiet", ONLY_QUIET))
    start = timezone.now()
    ingest(estate.sensors[0], raw(tool(at=start)))
    assert Alert.objects.get().status == "dismissed"

    other = tool(process__argv=["gdb", "-o", "pool:3333"], at=start + dt.timedelta(seconds=seconds))
    ingest(estate.sensors[0], raw(other, tool(at=start + dt.timedelta(seconds=seconds))))

    dismissed, active = Alert.objects.order_by("pk")
    assert (dismissed.status, dismissed.pulse.count) == ("dismissed", 2)
    assert (active.status, active.suppressed_by, active.pulse.count) == ("active", None, 1)


@pytest.mark.parametrize("without", [{"enabled": False}, {"expires_at": timezone.now()}], ids=["disabled", "expired"])
def test_a_rule_that_applies_again_is_reviewed(estate: Estate, operator: Any, without: dict[str, Any]) -> None:
    draft = SuppressionDraft("Tool", ONLY_QUIET[:2])
    rule = suppression_rules.save(operator, draft)
    SuppressionRule.objects.filter(pk=rule.pk).update(**without)
    ingest(estate.sensors[0], raw(tool()))
    close_all(operator, Resolution.TRUE_POSITIVE)

    with pytest.raises(ReviewRequired) as required:
        suppression_rules.save(operator, draft, rule.pk, rule.revision)
    assert required.value.preview.true_positives == [Alert.objects.get().pk]
    still_off = suppression_rules.save(operator, replace(draft, enabled=False), rule.pk, rule.revision)
    assert not still_off.enabled


def test_an_event_that_arrives_after_its_rule_was_deleted_opens_an_alert(estate: Estate, operator: Any) -> None:
    """Nobody can say any more whether the rule would have dismissed it: so somebody looks at it."""
    rule = save_reviewed(operator, SuppressionDraft("Tools", ONLY_QUIET))
    ingest(estate.sensors[0], raw(tool()))
    dismissed = Alert.objects.get()
    assert dismissed.suppressed_by == rule
    observed = now()

    suppression_rules.delete(operator, rule.pk, rule.revision)
    ingest(estate.sensors[0], raw(tool(at=observed)))

    late = Alert.objects.latest("pk")
    assert (late.status, late.previous_id) == ("active", dismissed.pk)
    dismissed.refresh_from_db()
    assert (dismissed.status, dismissed.pulse.count) == ("dismissed", 1)


def test_a_rule_from_an_alert_whose_command_line_was_cut_names_its_beginning(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    cut = {"process__argv": ["gdb", *["a b"] * 63], "process__argv_truncated": True}
    ingest(estate.sensors[0], raw(tool(**cut)))
    browser = client_of(operator)
    panel = fields_of(browser.get(URL, {"alert": Alert.objects.get().pk}, headers=HTMX).content.decode())
    assert panel["operator-command_line"] == "starts_with"
    assert browser.post(URL, panel, headers=HTMX).status_code == 200
    close_all(operator)

    ingest(estate.sensors[0], raw(tool(**cut)))
    assert Alert.objects.latest("pk").status == "dismissed"
    ingest(estate.sensors[0], raw(tool(**{**cut, "process__argv": ["gdb", *["b a"] * 63]})))
    assert Alert.objects.latest("pk").status == "active"


@pytest.mark.parametrize("is_cut", [True, False], ids=["cut", "whole"])
def test_a_rule_from_an_alert_whose_command_line_has_several_lines_names_all_of_them(
    estate: Estate, operator: Any, client_of: ClientOf, is_cut: bool
) -> None:
    argv = ["gdb", "-ex", "shell /bin/bash -i\ngdb\r\n\n  x'\u202e\\n"]
    sent = {"process__argv": argv, "process__argv_truncated": is_cut}
    ingest(estate.sensors[0], raw(tool(**sent)))
    browser = client_of(operator)
    panel = fields_of(browser.get(URL, {"alert": Alert.objects.get().pk}, headers=HTMX).content.decode())
    assert "\u202e" not in panel["value-command_line"], "it would reorder what the author reads"
    assert browser.post(URL, panel, headers=HTMX).status_code == 200
    (line,) = next(
        each["any_of"] for each in SuppressionRule.objects.get().conditions if each["property"] == COMMAND_LINE
    )
    assert line == {"operator": "starts_with" if is_cut else "equals", "value": shlex.join(argv)}
    assert "/bin/bash -i\\ngdb\\r" in browser.get("/alerts/suppression/").content.decode()
    close_all(operator)

    ingest(estate.sensors[0], raw(tool(**sent)))
    assert Alert.objects.latest("pk").status == "dismissed"
    ingest(estate.sensors[0], raw(tool(**{**sent, "process__argv": ["gdb", "-ex", "shell /bin/bash -i\nx"]})))
    assert Alert.objects.latest("pk").status == "active"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("gdb -ex 'a b'", "gdb -ex 'a b'"),
        ("a\\nb", "a\\nb"),
        ("a\nb\tc\r", r"$'a\nb\tc\r'"),
        (" it's ", r"$' it\'s '"),
        ("a\u202e\\", r"$'a\u202e\\'"),
        ("a\x85b\u2028\U000e0041", r"$'a\u0085b\u2028\U000e0041'"),
        ("$'a'", r"$'$\'a\''"),
    ],
)
def test_a_value_stands_on_one_line_and_is_read_from_it(value: str, line: str) -> None:
    assert printed_value(value) == line
    assert read_value(line) == value


@pytest.mark.parametrize(
    "line", ["$'a", "$'a\\q'", "$'a\\x00'", "$'\\ud800'", "$'\\Uffffffff'", "$'a' 'b'", '"a"', "$''x'"]
)
def test_a_line_that_is_not_quoted_is_its_own_value(line: str) -> None:
    assert read_value(line) == line
    assert read_value(printed_value(line)) == line
