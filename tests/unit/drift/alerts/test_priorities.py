"""Stored priorities: right as an alert opens, right again when something is learnt, and nothing of other scopes."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from drift.alerts.actions import score_alerts, triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.score_alerts import score_queued
from drift.alerts.domain.scored_signals import ScoredSignals
from drift.alerts.models import Alert, AlertDetail, AlertScoring, ListPreference, Sighting, Status
from drift.notify.models import PendingNotice
from drift.policy.models import PolicyVersion
from sensor import policy
from sensor.policy.document_terms import SEVERITIES
from tests.unit.drift.alerts.conftest import VERSION, Estate, document, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
ClientOf = Callable[[Any], Client]


WAYS = {"unlike", "habit", "common", "like_attack", "new_lineage", "known_lineage"}
WAYS |= {"new_name", "known_name", "new_command", "known_command", "new_place", "new_in_build", "poses", "used_anew"}


def signals(alert: Alert, part: str = "estate") -> set[str]:
    """Return the names of the signals but those of ways and traits (test_habits.py, test_traits.py)."""
    alert.refresh_from_db()
    return {name for name, _ in getattr(ScoredSignals.read(alert.signals), part)} - WAYS


def opened(estate: Estate, sensor: int = 0, **changes: Any) -> Alert:
    ingest(estate.sensors[sensor], raw(event(**changes)))
    alert: Alert = Alert.objects.order_by("-pk")[0]
    return alert


def test_an_alert_opens_with_its_priority(estate: Estate) -> None:
    alert = opened(estate)

    assert {"attack_tool", "service_child", "web_place"} <= signals(alert, "own")
    assert signals(alert) == {"first_seen"}
    assert alert.priority >= 90


def test_a_content_that_spreads_is_no_longer_the_first_of_its_kind(estate: Estate) -> None:
    alert = opened(estate)

    for number in range(5):
        opened(estate, 2, container__namespace=f"other-{number}")
    score_queued()

    assert signals(alert) == {"spread_wide"}
    assert signals(alert, "place") == {"first_seen"}
    assert alert.priority < alert.scoped_priority


def test_a_content_that_other_workloads_know_by_another_name_is_told(estate: Estate) -> None:
    for number in range(2):
        opened(estate, 2, container__namespace=f"other-{number}", process__name="rclone", process__path="/opt/rclone")

    alert = opened(estate, process__name="dbt", process__path="/opt/dbt")

    assert ["renamed_content", "rclone"] in (alert.signals or {})["estate"]
    assert "renamed_content" not in signals(alert, "place")


@pytest.mark.parametrize("names", [("cargo", "rustc"), ('a","b{}', "rustc")])
def test_a_content_that_other_workloads_know_by_this_name_too_is_not_renamed(
    estate: Estate, names: tuple[str, ...]
) -> None:
    for number in range(2):
        for name in names:
            opened(estate, 2, container__namespace=f"other-{number}", process__name=name, process__path=f"/opt/{name}")

    alert = opened(estate, process__name="rustc", process__path="/opt/rustc")

    assert signals(alert) == {"spread_some"}


def test_two_alerts_that_open_at_once_learn_of_each_other(estate: Estate) -> None:
    """Neither sees the other's uncommitted sighting: the queue makes up for it."""
    first, second = opened(estate), opened(estate, 2, container__namespace="other")
    Alert.objects.update(signals={"own": [], "estate": [["first_seen", "in this estate"]], "place": []})

    score_queued()

    assert "first_seen" not in signals(first) | signals(second)


@pytest.mark.parametrize(
    ("status", "resolution", "expected"),
    [
        ("resolved", "true_positive", "true_positive"),
        ("dismissed", "expected", "judged_harmless"),
        ("dismissed", "duplicate", None),
    ],
)
def test_a_resolution_counts_for_the_same_content_elsewhere_until_it_is_undone(
    estate: Estate, operator: User, status: str, resolution: str, expected: str | None
) -> None:
    judged, alert = opened(estate), opened(estate, 2, container__namespace="other")

    triage.change_status(operator, {judged.pk: judged.revision}, triage.StatusChange(Status(status), resolution))
    score_queued()
    assert (signals(alert) & {"true_positive", "judged_harmless"}) == ({expected} - {None})
    assert not signals(alert, "place") & {"true_positive", "judged_harmless"}

    judged.refresh_from_db()
    triage.undo(operator, {judged.pk: judged.revision})
    score_queued()
    assert not signals(alert) & {"true_positive", "judged_harmless"}


def test_scoring_changes_no_revision_and_settles(estate: Estate) -> None:
    alert = opened(estate)

    score_queued()
    assert score_queued() == 0
    assert not AlertScoring.objects.exists()
    revision = alert.revision
    alert.refresh_from_db()
    assert alert.revision == revision


def test_alerts_from_before_priorities_get_theirs(estate: Estate) -> None:
    alert = opened(estate)
    score_queued()
    Alert.objects.update(signals=None, priority=0, scoped_priority=0)

    assert score_queued() == 1
    alert.refresh_from_db()
    assert alert.priority >= 90


def test_an_event_that_can_no_longer_be_read_is_scored_by_the_rest(estate: Estate) -> None:
    alert = opened(estate)
    AlertDetail.objects.update(event={"kind": "of-another-age"})
    Alert.objects.update(signals=None)

    score_queued()

    assert signals(alert, "own") == set()
    assert signals(alert) == {"first_seen"}


def test_old_content_is_known_as_such(estate: Estate) -> None:
    opened(estate, 2, container__namespace="other")
    Sighting.objects.update(first_seen_on=dt.date(2026, 1, 1))

    assert "seen_before" in signals(opened(estate))


def test_files_without_a_hash_share_no_evidence(estate: Estate) -> None:
    for number in range(6):
        opened(estate, process__sha256=None, process__hash_status="too_large", container__namespace=f"n-{number}")

    assert signals(Alert.objects.order_by("-pk")[0]) == set()


def test_a_content_with_many_alerts_queues_a_bounded_number(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_alerts, "MAX_QUEUED", 2)
    for number in range(4):
        opened(estate, container__namespace=f"n-{number}")
    AlertScoring.objects.all().delete()

    score_alerts.queue_contents(["a" * 64])

    assert AlertScoring.objects.count() == 2


@pytest.mark.parametrize("severity", SEVERITIES)
def test_an_alert_has_the_severity_of_its_rule_as_it_was(estate: Estate, severity: str) -> None:
    ruled = document()
    ruled["rules"][-1]["severity"] = severity
    PolicyVersion.objects.create(number=VERSION + 1, document=policy.normalise(ruled), digest=policy.digest(ruled))

    alert = opened(estate, decision__policy_number=VERSION + 1)

    assert alert.severity == severity
    assert ("severity_" + severity in signals(alert, "own")) is (severity != "high")
    notices = PendingNotice.objects.count()
    assert notices == (severity == "high"), "of new alerts only High ones are notified"
    assert opened(estate, process__path="/other").severity == "high"


def test_the_list_is_filtered_and_sorted_by_severity(estate: Estate, operator: User, client_of: ClientOf) -> None:
    for place in range(4):
        opened(estate, process__path=f"/{place}")
    for alert, severity in zip(Alert.objects.order_by("pk"), ("low", "high", "informational", "medium"), strict=True):
        Alert.objects.filter(pk=alert.pk).update(severity=severity)
    browser = client_of(operator)

    page = browser.get("/alerts/?sort=-severity").content.decode()
    assert re.findall(r'<td class="severity (\w+)"', page) == ["high", "medium", "low", "informational"]
    page = browser.get("/alerts/?severity=low").content.decode()
    assert re.findall(r'<td class="severity (\w+)"', page) == ["low"]
    assert "Medium (1)" in page
    assert [each["severity"] for each in browser.get("/api/v1/alerts/?sort=severity").json()["alerts"]] == [
        "informational", "low", "medium", "high",
    ]  # fmt: skip


def test_the_list_is_sorted_by_priority_until_the_user_selects_another_order(
    estate: Estate, operator: User, client_of: ClientOf
) -> None:
    urgent = opened(estate, at=now() - dt.timedelta(hours=1))
    calm = opened(
        estate, process__path="/opt/app/x", process__argv=["x"], process__sha256="b" * 64, process__ancestors=[],
        process__parent={"name": "cargo", "pid": 3},
    )  # fmt: skip
    browser = client_of(operator)

    def shown(url: str = "/alerts/", **headers: str) -> list[int]:
        page = browser.get(url, headers=headers).content.decode()
        return sorted((urgent.pk, calm.pk), key=lambda pk: page.index(f'id="alert-{pk}"'))

    assert shown() == [urgent.pk, calm.pk]
    assert shown("/alerts/?sort=-started") == [calm.pk, urgent.pk]
    assert shown() == [urgent.pk, calm.pk], "a link is not a choice"
    shown("/alerts/?sort=-started", **{"HX-Request": "true"})
    assert shown() == [calm.pk, urgent.pk]
    assert ListPreference.objects.get().sort == "-started"


def test_the_density_is_remembered(estate: Estate, operator: User, client_of: ClientOf) -> None:
    opened(estate)
    browser = client_of(operator)

    answer = browser.post("/alerts/density/", {"rows": "compact", "query": "?status=any"})
    assert answer.headers["Location"] == "/alerts/?status=any"
    assert b"alerts compact" in browser.get("/alerts/").content
    browser.post("/alerts/density/", {"rows": "comfortable"})
    assert b"alerts compact" not in browser.get("/alerts/").content


def test_a_row_and_a_page_name_what_ran_where_and_by_whom(estate: Estate, operator: User, client_of: ClientOf) -> None:
    written = {"name": "curl", "pid": 9, "at": (now() - dt.timedelta(seconds=3)).isoformat()}
    alert = opened(estate, process__written_by=written)
    browser = client_of(operator)

    for url in ("/alerts/", f"/alerts/{alert.pk}/", f"/alerts/{alert.pk}/?tab=timeline"):
        page = browser.get(url).content.decode()
        assert "xmrig in cart/app — written by curl" in page
        assert "A drift binary detected executing in the container" in page
        assert "written by curl 3 s before" in page


def test_the_scoring_statements_read_indexes(estate: Estate) -> None:
    opened(estate)
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT id FROM alerts_alert WHERE signals IS NULL ORDER BY id DESC LIMIT 500")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("SET enable_seqscan = on")

    assert "alerts_without_priority" in plan
