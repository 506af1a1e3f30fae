"""Priorities: what is known of a content, and how points add up and are told."""

from __future__ import annotations

import datetime as dt

import pytest

from drift.alerts.domain.content_signals import (
    ContentFacts,
    content_signals,
    list_signals,
    other_name,
    severity_signals,
)
from drift.alerts.domain.priority_signals import MOST, START, explanation, priority, signal
from drift.alerts.domain.scored_signals import ScoredSignals

TODAY = dt.date(2026, 11, 29)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ContentFacts(), set()),
        (ContentFacts(0, TODAY), {"first_seen"}),
        (ContentFacts(1, TODAY), set()),
        (ContentFacts(2, TODAY), {"spread_some"}),
        (ContentFacts(1, TODAY, known_as="rclone"), set()),
        (ContentFacts(2, TODAY, known_as="rclone"), {"spread_some", "renamed_content"}),
        (ContentFacts(5, TODAY - dt.timedelta(days=7)), {"spread_wide", "seen_before"}),
        (ContentFacts(0, TODAY, (("expected", 3), ("true_positive", 2))), {"first_seen", "true_positive"}),
        (ContentFacts(0, TODAY, (("duplicate", 4), ("expected", 3))), {"first_seen", "judged_harmless"}),
    ],
)
def test_what_is_known_of_a_content_gives_signals(facts: ContentFacts, expected: set[str]) -> None:
    assert {name for name, _ in content_signals(facts, TODAY, "in this estate")} == expected


@pytest.mark.parametrize(
    ("name", "elsewhere", "expected"),
    [
        ("rc-helper", {"rclone"}, "rclone"),
        ("dbt-artifacts", {"rclone-1.65"}, "rclone-1.65"),
        ("rclone", {"rclone"}, ""),
        ("rclone-v1.65-linux", {"rclone"}, ""),
        ("rc", {"rclone"}, "rclone"),
        ("rcl", {"rclone"}, ""),
        ("a.sh", {"b.sh", "c.sh"}, ""),
        ("a", set(), ""),
        ("1", {"2"}, ""),
    ],
)
def test_a_content_has_another_name_elsewhere_where_it_has_one_there(
    name: str, elsewhere: set[str], expected: str
) -> None:
    assert other_name(name, elsewhere) == expected


def test_a_known_bad_list_outweighs_a_known_good_one() -> None:
    assert list_signals("ours", "theirs") == [("known_bad", "theirs")]
    assert list_signals("ours", "") == [("known_good", "ours")]
    assert list_signals("", "") == []


@pytest.mark.parametrize("severity", ["medium", "low", "informational"])
def test_a_lower_severity_lowers_the_priority(severity: str) -> None:
    assert priority(severity_signals(severity)) < priority(severity_signals("high")) == START


def test_points_add_up_within_bounds() -> None:
    assert priority([signal("miner"), signal("fileless"), signal("known_bad", "x")]) == MOST
    assert priority([signal("known_good", "x"), signal("installed", "dpkg")]) == 0
    assert priority([("of-a-later-version", "")]) == START


def test_the_line_gives_the_weightiest_reason_first_and_what_lowers_last() -> None:
    found = [signal("root"), signal("installed", "dpkg"), signal("miner"), signal("script")]

    assert explanation(found) == "talks like a miner; as root; lowered: installed by dpkg; a script"


def test_stored_signals_round_trip_and_a_scope_hides_the_estate() -> None:
    stored = ScoredSignals([signal("root")], [signal("spread_wide", "9")], [signal("first_seen", "in this namespace")])

    read = ScoredSignals.read(stored.as_json())

    assert read.as_json() == stored.as_json()
    assert "9 other" not in read.reasons(whole_estate=False)
    assert read.scoped_priority > read.priority
    assert ScoredSignals.read(None).reasons(whole_estate=True) == ""
