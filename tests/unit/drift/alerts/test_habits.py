"""The way in which alerts came about: what repeats is a habit, and what a reviewer found to be an attack never is."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.test import Client

from accounts.models import User
from drift.alerts.actions import retention, triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.score_alerts import score_queued
from drift.alerts.domain.habits import (
    HabitFacts,
    habit,
    habit_signals,
    lineage,
    lineage_signals,
    lineage_words,
)
from drift.alerts.domain.scored_signals import ScoredSignals
from drift.alerts.models import Alert, AlertScoring, HabitDay, Status
from drift.fleet.models import Sensor
from sensor import wire
from tests.unit.drift.alerts.conftest import Estate, event, now, raw

stored = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
WAYS = {"unlike", "habit", "common", "like_attack"}
LINEAGES = {"new_lineage", "known_lineage"}


def way(**changes: Any) -> object:
    return habit(msgspec.convert(event(**changes), wire.Event))


def writer(name: str, path: str | None = None) -> dict[str, Any]:
    return {"name": name, "pid": 9, "path": path, "at": (now() - dt.timedelta(seconds=3)).isoformat(), "parent": None}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"process__path": "/tmp/go-build123/b1/x.test"}, {"process__path": "/tmp/go-build99812/b700/x.test"}),
        ({"process__path": "/tmp/jna37465fe.so"}, {"process__path": "/tmp/q1ws2jna.so"}),
        ({"process__path": "/app/lib/a-1.2.so"}, {"process__path": "/app/lib/a-1.10.so"}),
        ({"process__path": "/tmp/a/b/c/d"}, {"process__path": "/tmp/a/e/f/d"}),
        ({"process__written_by": writer("python3.11")}, {"process__written_by": writer("python3.12")}),
        ({"process__parent": {"name": "npm start", "pid": 1}}, {"process__parent": {"name": "npm ci", "pid": 1}}),
        ({"process__sha256": "a" * 64}, {"process__sha256": "b" * 64}),
        ({"process__argv": ["a"]}, {"process__argv": ["b"]}),
    ],
)
def test_versions_and_contents_do_not_make_another_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert way(**one) == way(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"kind": "script"}, {"kind": "new_file"}),
        ({"process__written_by": writer("curl")}, {"process__written_by": writer("dpkg")}),
        (
            {"process__written_by": writer("dpkg", "/usr/bin/dpkg")},
            {"process__written_by": writer("dpkg", "/tmp/dpkg")},
        ),
        ({"process__parent": {"name": "sh", "pid": 1}}, {"process__parent": {"name": "java", "pid": 1}}),
        ({"process__ancestors": [{"name": "nginx", "pid": 1}]}, {"process__ancestors": [{"name": "make", "pid": 1}]}),
        ({"process__path": "/tmp/kubectl"}, {"process__path": "/tmp/fghgf"}),
        ({"process__path": "/tmp/kubectl"}, {"process__path": "/dev/shm/kubectl"}),
        ({"process__path": "/tmp/aapt2"}, {"process__path": "/tmp/aapt2d"}),
        ({"process__path": "/app/lib/a-1.2.so"}, {"process__path": "/app/lib/b-1.2.so"}),
        ({"process__path": "/tmp/a1.sh"}, {"process__path": "/tmp/a1.so"}),
    ],
)
def test_another_kind_writer_starter_place_or_name_is_another_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert way(**one) != way(**other)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (HabitFacts(), ["unlike"]),
        (HabitFacts(own_days=1), []),
        (HabitFacts(own_days=2), []),
        (HabitFacts(own_days=3), ["habit"]),
        (HabitFacts(workloads=1, days=1), []),
        (HabitFacts(workloads=40, days=1), []),
        (HabitFacts(workloads=2, days=9), []),
        (HabitFacts(workloads=3, days=3), ["common"]),
        (HabitFacts(own_days=9, workloads=9, days=9, attack=7), ["like_attack"]),
    ],
)
def test_a_habit_needs_days_and_an_attack_outweighs_it(facts: HabitFacts, expected: list[str]) -> None:
    assert [name for name, _ in habit_signals(facts, "here")] == expected


LIBRARY = {"kind": "library"}


def of(function: Any, **changes: Any) -> Any:
    return function(msgspec.convert(event(**changes), wire.Event))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"process__path": "/tmp/kubectl"}, {"process__path": "/dev/shm/fghgf"}),
        ({"process__written_by": writer("python3.11")}, {"process__written_by": writer("python3.12")}),
        (
            {"process__parent": {"name": "bash", "pid": 2}, "process__ancestors": [{"name": "java", "pid": 1}]},
            {"process__parent": {"name": "java", "pid": 2}, "process__ancestors": [{"name": "tini", "pid": 1}]},
        ),
        (
            {**LIBRARY, "process__via": "/usr/bin/python3.11", "process__parent": {"name": "bash", "pid": 2}},
            {**LIBRARY, "process__via": "/opt/bin/python3.12", "process__parent": {"name": "java", "pid": 2}},
        ),
        ({"process__uid": 0}, {"process__uid": 1000}),
    ],
)
def test_place_name_and_shells_between_make_no_other_lineage(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert of(lineage, **one) == of(lineage, **other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"kind": "script"}, {"kind": "new_file"}),
        ({"process__written_by": writer("curl")}, {"process__written_by": writer("dpkg")}),
        (
            {"process__written_by": writer("dpkg", "/usr/bin/dpkg")},
            {"process__written_by": writer("dpkg", "/tmp/dpkg")},
        ),
        ({"process__parent": {"name": "java", "pid": 1}}, {"process__parent": {"name": "node", "pid": 1}}),
        ({**LIBRARY, "process__via": "/usr/bin/java"}, {**LIBRARY, "process__via": "/usr/sbin/redis-server"}),
        (
            {"process__parent": {"name": "bash", "pid": 2}, "process__ancestors": []},
            {"process__parent": {"name": "tini", "pid": 2}, "process__ancestors": []},
        ),
    ],
)
def test_another_kind_writer_or_starter_is_another_lineage(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert of(lineage, **one) != of(lineage, **other)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"process__written_by": writer("cp"), "process__parent": {"name": "java", "pid": 1}},
            "written by cp, started below java",
        ),
        ({"process__parent": {"name": "bash", "pid": 1}, "process__ancestors": []}, "started from a shell"),
        ({"process__parent": None, "process__ancestors": []}, "started by nothing known"),
        ({**LIBRARY, "process__via": "/usr/sbin/redis-server"}, "loaded by redis-server"),
        ({**LIBRARY, "process__parent": {"name": "java", "pid": 1}}, "started below java"),
    ],
)
def test_a_lineage_is_told_in_words(changes: dict[str, Any], words: str) -> None:
    assert of(lineage_words, **{"process__written_by": None, **changes}) == words


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (HabitFacts(), ["new_lineage"]),
        (HabitFacts(own_days=1), []),
        (HabitFacts(own_days=2), ["known_lineage"]),
        (HabitFacts(workloads=1, days=1), []),
        (HabitFacts(workloads=2, days=9), []),
        (HabitFacts(workloads=3, days=1), []),
        (HabitFacts(own_days=1, workloads=1, days=1), []),
    ],
)
def test_a_lineage_is_new_or_known(facts: HabitFacts, expected: list[str]) -> None:
    assert [name for name, _ in lineage_signals(facts, "written by cp", "here")] == expected


def opened(estate: Estate, number: int, *, days_ago: int = 0, namespace: str = "shop", sensor: int = 0) -> Alert:
    """Open an alert of the one way, of its own content, so many days ago, and score what is queued."""
    sent = event(
        process__path=f"/srv/cache/{number}.bin", process__sha256=f"{number:064x}", container__namespace=namespace
    )
    ingest(Sensor.objects.get(pk=estate.sensors[sensor].pk), raw(sent))
    alert: Alert = Alert.objects.order_by("-pk")[0]
    Alert.objects.filter(pk=alert.pk).update(created_at=now() - dt.timedelta(days=days_ago))
    score_queued()
    return alert


def ways(alert: Alert, part: str = "estate", known: set[str] = WAYS) -> set[str]:
    alert.refresh_from_db()
    return {name for name, _ in getattr(ScoredSignals.read(alert.signals), part)} & known


class TestStored:
    pytestmark = stored

    def test_the_first_of_its_way_is_unlike_anything_until_another_workload_has_one(self, estate: Estate) -> None:
        first = opened(estate, 1)
        assert ways(first) == ways(first, "place") == {"unlike"}

        second = opened(estate, 2, namespace="other")

        assert ways(first) == ways(second) == set()
        assert ways(first, "place") == ways(second, "place") == {"unlike"}

    def test_what_a_workload_does_every_day_is_its_habit(self, estate: Estate) -> None:
        alerts = [opened(estate, day, days_ago=day) for day in range(4)]

        assert [ways(alert) for alert in alerts] == [{"habit"}] * 4
        assert [ways(alert, "place") for alert in alerts] == [{"habit"}] * 4

    def test_a_burst_of_one_day_is_no_habit(self, estate: Estate) -> None:
        alerts = [opened(estate, number) for number in range(6)]

        assert {name for alert in alerts for name in ways(alert)} == {"unlike"}

    def test_what_other_workloads_do_on_other_days_is_common_but_not_to_users_with_a_scope(
        self, estate: Estate
    ) -> None:
        for number in range(3):
            opened(estate, number, days_ago=number + 1, namespace=f"team-{number}", sensor=2)

        alert = opened(estate, 9)

        assert ways(alert) == {"common"}
        assert ways(alert, "place") == {"unlike"}

    def test_a_wave_over_many_workloads_on_one_day_is_not_common(self, estate: Estate) -> None:
        for number in range(5):
            opened(estate, number, namespace=f"team-{number}", sensor=2)

        assert ways(opened(estate, 9)) == set()

    def test_events_that_a_sensor_dates_back_teach_no_habit(self, estate: Estate) -> None:
        for day in range(5):
            sent = event(
                at=now() - dt.timedelta(days=day), process__path=f"/srv/cache/{day}.bin", process__sha256=f"{day:064x}"
            )
            ingest(estate.sensors[0], raw(sent))
        score_queued()

        assert ways(Alert.objects.order_by("-pk")[0]) == {"unlike"}

    def test_a_sensor_in_quarantine_and_samples_teach_no_habit(self, estate: Estate) -> None:
        at = now()
        Sensor.objects.filter(pk=estate.sensors[0].pk).update(quarantined_at=at, set_aside_since=at)
        for day in range(3):
            opened(estate, day, days_ago=day + 1)
        assert not HabitDay.objects.exists()
        Sensor.objects.update(quarantined_at=None, set_aside_since=None)
        sample = opened(estate, 8, days_ago=1)
        HabitDay.objects.all().delete()
        Alert.objects.filter(pk=sample.pk).update(sample=True, signals=None)

        score_queued()

        assert not HabitDay.objects.exists()

    def test_a_way_that_was_an_attack_is_no_habit_until_the_resolution_is_undone(
        self, estate: Estate, operator: User
    ) -> None:
        attack = opened(estate, 3, namespace="other", sensor=2)
        alerts = [opened(estate, day, days_ago=day) for day in range(4)]
        change = triage.StatusChange(Status.RESOLVED, "true_positive")
        attack.refresh_from_db()

        triage.change_status(operator, {attack.pk: attack.revision}, change)
        score_queued()

        assert [ways(alert) for alert in alerts] == [{"like_attack"}] * 4
        assert [ways(alert, "place") for alert in alerts] == [{"habit"}] * 4
        assert f"alert {attack.pk}" in ScoredSignals.read(alerts[0].signals).reasons(whole_estate=True)

        attack.refresh_from_db()
        triage.undo(operator, {attack.pk: attack.revision})
        score_queued()
        assert [ways(alert) for alert in alerts] == [{"habit"}] * 4

    def test_the_first_of_its_lineage_is_so_until_other_workloads_or_days_have_one(self, estate: Estate) -> None:
        first = opened(estate, 1)
        assert ways(first, known=LINEAGES) == ways(first, "place", LINEAGES) == {"new_lineage"}

        others = [opened(estate, number, namespace=f"team-{number}") for number in (2, 3)]
        assert ways(first, known=LINEAGES) == set()
        others.append(opened(estate, 4, namespace="team-4"))

        assert [ways(each, known=LINEAGES) for each in (first, *others)] == [set()] * 4
        assert ways(first, "place", LINEAGES) == {"new_lineage"}
        days = [opened(estate, 10 + day, days_ago=day) for day in range(3)]
        assert [ways(each, known=LINEAGES) for each in days] == [{"known_lineage"}] * 3

    def test_a_closed_alert_teaches_its_lineage_and_keeps_its_priority(self, estate: Estate, operator: User) -> None:
        alert = opened(estate, 1, days_ago=1)
        alert.refresh_from_db()
        before = alert.priority, alert.signals
        triage.change_status(operator, {alert.pk: alert.revision}, triage.StatusChange(Status.DISMISSED, "expected"))
        HabitDay.objects.all().delete()
        Alert.objects.update(lineage=None)
        AlertScoring.objects.create(alert=alert)

        other = opened(estate, 2)

        alert.refresh_from_db()
        assert (alert.priority, alert.signals) == before
        assert ways(other) == ways(other, known=LINEAGES) == set()

    def test_alerts_from_before_ways_get_theirs(self, estate: Estate) -> None:
        alert = opened(estate, 1)
        expected = alert.habit
        Alert.objects.update(habit=None, signals=None)
        HabitDay.objects.all().delete()

        score_queued()

        alert.refresh_from_db()
        assert alert.habit == expected is not None
        assert HabitDay.objects.count() == 5, "of the way, its lineage and the three traits"

    def test_scoring_by_ways_settles(self, estate: Estate) -> None:
        for number in range(4):
            opened(estate, number, days_ago=number, namespace=f"team-{number}")

        assert score_queued() == 0

    def test_days_go_when_alerts_of_that_age_go(self, estate: Estate) -> None:
        opened(estate, 1, days_ago=200)
        opened(estate, 2, namespace="other")

        assert retention.delete_expired()["habits"] == 5
        assert HabitDay.objects.count() == 5, "of the way, its lineage and the three traits"

    def test_names_of_a_lineage_are_shown_as_text(
        self, estate: Estate, operator: User, client_of: Callable[[Any], Client]
    ) -> None:
        hostile = {"name": "a\u202eb<i>\n", "pid": 7}
        sent = event(process__written_by=writer("x\u200b\u2066<b>"), process__parent=hostile, process__ancestors=[])
        ingest(estate.sensors[0], raw(sent))
        alert = Alert.objects.get()
        assert ways(alert, known=LINEAGES) == {"new_lineage"}
        browser = client_of(operator)

        for path in ("", f"{alert.pk}/", f"{alert.pk}/?tab=why", f"{alert.pk}/report/", "export.csv"):
            answer = browser.get(f"/alerts/{path}")
            page = (answer.getvalue() if answer.streaming else answer.content).decode()
            assert "written by x" in page or path in ("", "export.csv"), path
            assert not [line for line in page.splitlines() if set("\u202e\u200b\u2066") & set(line)], path
            assert path == "export.csv" or not {"<b>", "<i>"} & set(re.findall(r"<[bi]>", page)), path
