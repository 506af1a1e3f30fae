"""Traits: a name, arguments or a place that other days had too is everyday, and one that none had is new."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from accounts.models import User
from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.score_alerts import score_queued
from drift.alerts.domain.priority_signals import SIGNALS, explanation
from drift.alerts.domain.scored_signals import ScoredSignals
from drift.alerts.domain.traits import TraitDays, Traits, trait_signals, traits
from drift.alerts.models import Alert, AlertScoring, Status
from sensor import wire
from tests.unit.drift.alerts.conftest import Estate, event, now, raw

stored = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
TRAITS = {"new_name", "known_name", "new_command", "known_command", "new_place", "new_in_build", "poses"}
OF_NO_PAYLOAD = {"is_written": True, "is_payload": False}
KNOWN = {"known_name", "known_command"}


def of(**changes: Any) -> Traits:
    return traits(msgspec.convert(event(**changes), wire.Event))


def writer(name: str, path: str | None = None) -> dict[str, Any]:
    return {"name": name, "pid": 9, "path": path, "at": (now() - dt.timedelta(seconds=3)).isoformat(), "parent": None}


@pytest.mark.parametrize(
    ("trait", "one", "other"),
    [
        ("name", {"process__path": "/tmp/tool-1.2"}, {"process__path": "/srv/x/tool-1.10"}),
        ("name", {"process__path": "/tmp/libjnr6418af.so"}, {"process__path": "/tmp/libjnr77.so"}),
        ("name", {"process__argv": ["a"]}, {"process__argv": ["b", "c"]}),
        ("command", {"process__argv": ["a", "-p", "8080"]}, {"process__argv": ["b", "-p", "9090"]}),
        ("command", {"process__argv": ["a", "run"]}, {"process__argv": ["/srv/a", "run"], "kind": "script"}),
        ("place", {"process__path": "/opt/a/x"}, {"process__path": "/opt/a/y"}),
        ("place", {"process__path": "/opt/a/b/c/x"}, {"process__path": "/opt/a/b/d/x"}),
        ("place", {"process__path": "/opt/a-1/x"}, {"process__path": "/opt/b-2/x"}),
        ("place", {"process__written_by": writer("python3.11")}, {"process__written_by": writer("python3.12")}),
    ],
)
def test_numbers_and_what_is_another_trait_make_no_other_one(
    trait: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert getattr(of(**one), trait) == getattr(of(**other), trait) is not None


@pytest.mark.parametrize(
    ("trait", "one", "other"),
    [
        ("name", {"process__path": "/tmp/kubectl-1.29"}, {"process__path": "/tmp/helm-3.1"}),
        ("name", {"process__path": "/tmp/aapt2"}, {"process__path": "/tmp/aapt2d"}),
        ("name", {"process__path": "/tmp/a.so"}, {"process__path": "/tmp/a.sh"}),
        ("command", {"process__argv": ["a", "-p", "1"]}, {"process__argv": ["a", "-q", "1"]}),
        ("command", {"process__argv": ["a", "b c"]}, {"process__argv": ["a", "b", "c"]}),
        ("place", {"process__path": "/opt/a/x"}, {"process__path": "/srv/a/x"}),
        ("place", {"process__written_by": writer("curl")}, {"process__written_by": writer("dpkg")}),
        (
            "place",
            {"process__written_by": writer("dpkg", "/usr/bin/dpkg")},
            {"process__written_by": writer("dpkg", "/tmp/dpkg")},
        ),
    ],
)
def test_another_name_argument_directory_or_writer_is_another_trait(
    trait: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert getattr(of(**one), trait) != getattr(of(**other), trait)


@pytest.mark.parametrize(
    "changes",
    [{"process__argv": []}, {"process__argv": ["x"]}, {"kind": "library", "process__argv": ["java", "-jar", "a.jar"]}],
)
def test_a_program_without_arguments_and_a_library_have_no_trait_of_them(changes: dict[str, Any]) -> None:
    assert of(**changes).command is None


@pytest.mark.parametrize(
    "path", ["", "/", "x", "//", "/x", "/" + "a" * 4_000, "/tmp/" + "f" * 4_000 + "!", "/tmp/\u202egnp.exe", "/memfd:"]
)
def test_any_path_has_traits(path: str) -> None:
    assert of(process__path=path) == of(process__path=path)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (TraitDays(0, 0, 0), {"new_name", "new_command", "new_place"}),
        (TraitDays(0, None, 0), {"new_name", "new_place"}),
        (TraitDays(1, 1, 1), set()),
        (TraitDays(2, 2, 2), {"known_name", "known_command"}),
        (TraitDays(9, None, 9), {"known_name"}),
    ],
)
def test_one_other_day_makes_a_trait_neither_new_nor_everyday(days: TraitDays, expected: set[str]) -> None:
    found = list(trait_signals(days, "in this estate", set(), is_attack=False, **OF_NO_PAYLOAD))

    assert {name for name, _ in found} == expected
    assert all("{}" not in explanation([each]) for each in found)


def test_what_came_about_like_a_true_positive_is_not_lowered_by_its_traits() -> None:
    found = trait_signals(TraitDays(9, 9, 0), "in this estate", set(), is_attack=True, **OF_NO_PAYLOAD)

    assert [SIGNALS[name].points > 0 for name, _ in found] == [True]


@pytest.mark.parametrize(
    ("days", "is_new"),
    [
        (TraitDays(0, 0, 0), True),
        (TraitDays(0, None, 0), False),
        (TraitDays(1, 0, 0), False),
        (TraitDays(0, 1, 0), False),
        (TraitDays(0, 0, 1), True),
    ],
)
def test_a_new_name_with_new_arguments_is_no_everyday_work_of_a_build(days: TraitDays, is_new: bool) -> None:
    assert ("new_in_build" in said(days, "build_child")) is is_new
    assert "new_in_build" not in said(days)


@pytest.mark.parametrize("build", ["build_child", "build_place", "build_namespace"])
@pytest.mark.parametrize(
    ("days", "others", "is_odd"),
    [
        (TraitDays(9, 0, 9), {"outside_address"}, True),
        (TraitDays(9, 1, 9), {"outside_address"}, False),
        (TraitDays(9, 9, 9), {"outside_address"}, False),
        (TraitDays(9, None, 9), {"outside_address"}, False),
        (TraitDays(9, 0, 9), {"bare_address"}, False),
        (TraitDays(9, 9, 9), {"drifted_writer", "new_lineage"}, True),
        (TraitDays(9, 9, 9), {"drifted_writer", "common"}, False),
        (TraitDays(9, 9, 9), {"written_by_runtime", "new_lineage"}, False),
    ],
)
def test_new_arguments_that_name_an_address_and_what_a_dropped_program_wrote_anew_are_no_everyday_work_of_a_build(
    build: str, days: TraitDays, others: set[str], is_odd: bool
) -> None:
    found = said(days, build, *others)

    assert ("new_in_build" in found) is is_odd
    assert found.isdisjoint(KNOWN) is is_odd
    assert "new_in_build" not in said(days, *others)


@pytest.mark.parametrize(
    ("days", "others", "lowered"),
    [
        (TraitDays(2, 2, 0), {"unlike", "new_lineage"}, set()),
        (TraitDays(2, 0, 0), {"unlike", "new_lineage"}, set()),
        (TraitDays(2, 2, 0), {"unlike"}, KNOWN),
        (TraitDays(2, 2, 0), {"new_lineage"}, KNOWN),
        (TraitDays(2, 2, 0), {"habit", "known_lineage"}, KNOWN),
        # Arguments alone, such as --version, are nobody's.
        (TraitDays(0, 2, 0), {"unlike", "new_lineage"}, {"known_command"}),
        (TraitDays(1, 2, 0), {"unlike", "new_lineage"}, {"known_command"}),
    ],
)
def test_a_known_name_lowers_only_what_came_by_a_known_way(
    days: TraitDays, others: set[str], lowered: set[str]
) -> None:
    assert said(days, *others) & KNOWN == lowered


@pytest.mark.parametrize(
    ("days", "poses"),
    [
        (TraitDays(2, 2, 0), True),
        (TraitDays(2, 1, 0), False),
        (TraitDays(2, 0, 0), False),
        (TraitDays(2, None, 0), False),
        (TraitDays(1, 2, 0), False),
        (TraitDays(0, 0, 0), False),
    ],
)
def test_name_and_arguments_of_everyday_files_raise_what_came_about_as_nothing_before(
    days: TraitDays, poses: bool
) -> None:
    new_way = {"unlike", "new_lineage"}

    assert ("poses" in said(days, *new_way)) is poses
    assert "poses" not in said(days, "unlike") | said(days, "new_lineage")
    assert "poses" not in said(days, *new_way, is_written=False)
    assert "poses" not in said(days, *new_way, is_attack=True)


def test_to_pose_as_an_everyday_file_gains_nothing() -> None:
    new_way = ("unlike", "new_lineage")
    points = {
        days: sum(SIGNALS[name].points for name in said(TraitDays(days, days, 0), *new_way)) for days in (0, 2, 30)
    }

    assert points[2] == points[30] >= points[0]


@pytest.mark.parametrize("known", ["seen_before", "spread_some", "spread_wide", "judged_harmless"])
def test_a_known_content_gains_nothing_where_it_came_and_was_called_as_nothing_before(known: str) -> None:
    """A tool does what its arguments say: what was judged is how it was used then."""
    new, called = {"unlike", "new_lineage"}, TraitDays(9, 0, 9)

    assert "used_anew" in said(called, known, *new)
    assert SIGNALS["used_anew"].points + SIGNALS[known].points >= 0
    assert "used_anew" not in said(TraitDays(9, 1, 9), known, *new)
    assert "used_anew" not in said(TraitDays(9, None, 9), known, *new)
    assert "used_anew" not in said(called, known, "unlike") | said(called, known, "new_lineage") | said(called, *new)


def test_what_a_script_of_a_build_writes_and_starts_at_once_is_raised_where_it_is_no_everyday_work() -> None:
    new, everyday = TraitDays(0, 0, 0), TraitDays(9, 9, 9)

    assert "install_payload" in said(new, "build_child", is_payload=True)
    assert "install_payload" not in said(new, "build_child") | said(new, is_payload=True)
    assert "install_payload" not in said(everyday, "build_child", is_payload=True)
    assert "install_payload" not in said(new, "build_namespace", "started_by_writer", is_payload=True)


def said(
    days: TraitDays, *others: str, is_attack: bool = False, is_written: bool = True, is_payload: bool = False
) -> set[str]:
    written = {"is_written": is_written, "is_payload": is_payload}
    found = trait_signals(days, "in this estate", set(others), is_attack=is_attack, **written)
    return {name for name, _ in found}


def opened(estate: Estate, number: int, *, days_ago: int = 0, sensor: int = 2, **changes: Any) -> Alert:
    """Open an alert of a workload, directory, writer, name and command of its own, and score what is queued."""
    word = "abcdefghijk"[number] * 3
    own = {
        "process__path": f"/opt/{word}/{word}",
        "process__argv": [word, word],
        "process__sha256": f"{number + 1:064x}",
        "container__namespace": word,
    }
    ingest(estate.sensors[sensor], raw(event(**{**own, **changes})))
    alert: Alert = Alert.objects.order_by("-pk")[0]
    Alert.objects.filter(pk=alert.pk).update(created_at=now() - dt.timedelta(days=days_ago))
    AlertScoring.objects.create(alert=alert)
    score_queued()
    return alert


def found(alert: Alert, part: str = "estate") -> set[str]:
    alert.refresh_from_db()
    return {name for name, _ in getattr(ScoredSignals.read(alert.signals), part)} & TRAITS


class TestStored:
    pytestmark = stored

    def test_an_open_alert_loses_what_was_new_when_other_days_have_it(self, estate: Estate) -> None:
        first = opened(estate, 0, days_ago=1)
        priority = first.priority
        assert found(first) == {"new_name", "new_command", "new_place"}

        second = opened(estate, 1, days_ago=2, process__path="/srv/aaa")
        assert found(first) == {"new_command", "new_place"}
        third = opened(estate, 2, process__path="/var/opt/aaa")

        assert found(first) == {"known_name", "new_command", "new_place"}
        assert {"known_name"} == found(second) & {"known_name"} == found(third) & {"known_name"}
        assert first.priority < priority

    def test_the_same_arguments_on_other_days_are_everyday(self, estate: Estate) -> None:
        alerts = [
            opened(estate, day, days_ago=day, process__argv=["x", "sync", "--port", str(day)]) for day in range(3)
        ]

        assert [found(alert) for alert in alerts] == [{"new_name", "known_command", "new_place"}] * 3

    def test_users_with_a_scope_learn_nothing_of_other_workloads(self, estate: Estate) -> None:
        alerts = [opened(estate, day, days_ago=day, process__path="/opt/same/tool") for day in range(3)]

        assert [found(alert) for alert in alerts] == [{"known_name", "new_command"}] * 3
        assert [found(alert, "place") for alert in alerts] == [{"new_name", "new_command", "new_place"}] * 3

    def test_what_is_new_in_a_build_is_no_everyday_work_until_other_days_have_it(self, estate: Estate) -> None:
        runner: dict[str, Any] = {"process__parent": {"name": "npm", "pid": 1}, "process__ancestors": []}
        first = opened(estate, 0, days_ago=1, **runner)
        assert "new_in_build" in found(first)

        opened(estate, 1, process__path="/srv/aaa", **runner)

        assert "new_in_build" not in found(first)

    def test_what_replaces_a_file_is_not_everyday_by_that_files_name(self, estate: Estate) -> None:
        same: dict[str, Any] = {"process__path": "/opt/x/health", "process__argv": ["health", "--port", "80"]}
        for day in range(1, 4):
            opened(estate, day, days_ago=day, **same)

        assert found(opened(estate, 4, **same)) == {"known_name", "known_command"}
        assert not found(opened(estate, 5, kind="replaced", **same))

    def test_an_everyday_file_that_another_program_wrote_is_not_lowered_by_its_name(self, estate: Estate) -> None:
        same: dict[str, Any] = {"process__path": "/opt/agent/agent", "process__argv": ["agent", "run"]}
        updates = [opened(estate, 0, days_ago=day, process__written_by=writer("updater"), **same) for day in (1, 2, 3)]
        other = opened(estate, 1, process__written_by=writer("python3"), **same)

        assert found(other) == {"poses", "new_place"}
        assert found(updates[0]) == KNOWN

        opened(estate, 2, process__written_by=writer("python3"), days_ago=4, **same)

        assert found(other) == KNOWN

    def test_a_wave_of_one_day_stays_new(self, estate: Estate) -> None:
        alerts = [opened(estate, number, process__path="/tmp/worm", process__argv=["w", "go"]) for number in range(5)]

        assert [found(alert) for alert in alerts] == [{"new_name", "new_command", "new_place"}] * 5

    def test_a_wave_that_is_known_to_be_an_attack_is_lowered_by_nothing(self, estate: Estate, operator: User) -> None:
        same: dict[str, Any] = {"process__path": "/tmp/worm", "process__argv": ["w", "go"]}
        alerts = [opened(estate, day, days_ago=day, **same) for day in range(4)]
        assert found(alerts[0]) == {"known_name", "known_command"}
        attack = alerts.pop()
        attack.refresh_from_db()

        change = triage.StatusChange(Status.RESOLVED, "true_positive")
        triage.change_status(operator, {attack.pk: attack.revision}, change)
        score_queued()

        assert [found(alert) for alert in alerts] == [set()] * 3

    def test_events_that_a_sensor_dates_back_make_nothing_everyday(self, estate: Estate) -> None:
        for day in range(4):
            at = now() - dt.timedelta(days=day)
            sent = event(at=at, process__path="/opt/x/tool", process__sha256=f"{day:064x}", process__argv=["x", "y"])
            ingest(estate.sensors[0], raw(sent))
        score_queued()

        assert found(Alert.objects.order_by("-pk")[0]) == {"new_name", "new_command", "new_place"}
