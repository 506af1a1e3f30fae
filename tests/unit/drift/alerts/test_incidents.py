"""Alerts join incidents, as many at once as a batch brings."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from drift.alerts.actions.event_keys import clear_caches
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, Incident
from tests.unit.drift.alerts.conftest import Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
START = now() - dt.timedelta(hours=1)


def drift(minutes: int = 0, *ancestors: str, **changes: Any) -> dict[str, Any]:
    """Return an event of a new binary, run `minutes` after START by those ancestors, each a different process."""
    above = [{"name": name, "pid": ord(name)} for name in ancestors]
    at = START + dt.timedelta(minutes=minutes)
    return event(at=at, process__path=f"/{uuid.uuid4()}", process__parent=None, process__ancestors=above, **changes)


def incidents() -> list[int]:
    """Return the number of alerts of each incident, first incident first."""
    ids = list(Alert.objects.order_by("first_seen").values_list("incident", flat=True))
    return [ids.count(pk) for pk in dict.fromkeys(ids)]


CHAINS = {
    "each within ten minutes of the last": ([drift(0, "a"), drift(8, "a"), drift(16, "a")], [3]),
    "a gap between": ([drift(0, "a"), drift(11, "a")], [1, 1]),
    "by an ancestor that a later one brought": ([drift(0, "a"), drift(1, "a", "b"), drift(2, "b")], [3]),
    "nothing in common": ([drift(0, "a"), drift(1, "b"), drift(2, "a")], [2, 1]),
}


@pytest.mark.parametrize(("batch", "expected"), CHAINS.values(), ids=CHAINS)
def test_successive_alerts_join_one_incident(estate: Estate, batch: list[dict[str, Any]], expected: list[int]) -> None:
    for each in batch:
        ingest(estate.sensors[0], raw(each))

    assert incidents() == expected
    last = Alert.objects.select_related("incident").latest("first_seen").incident
    assert last is not None
    assert last.last_seen == max(alert.first_seen for alert in Alert.objects.filter(incident=last))


def test_alerts_of_one_batch_join_each_other_and_existing_ones(estate: Estate) -> None:
    ingest(estate.sensors[0], raw(drift(0, "a")))
    ingest(estate.sensors[0], raw(*(drift(minute, "a") for minute in (3, 5, 9)), drift(4, "b"), drift(6, "b")))

    assert incidents() == [4, 2]


def test_workloads_of_one_batch_do_not_share_an_incident(estate: Estate) -> None:
    places = ({"container__id": f"{n:064x}", "container__name": f"c{n}"} for n in (1, 2, 1))
    ingest(estate.sensors[0], raw(*(drift(0, "a", **place) for place in places)))

    assert sorted(incidents()) == [1, 2]


def pod(number: int, *ancestors: str, **changes: Any) -> dict[str, Any]:
    """Return an event in another pod of the same workload, where the same programs are other processes."""
    above = [{"name": name, "pid": 1_000 * number + sum(map(ord, name))} for name in ancestors]
    container = {"container__id": f"{number:064x}", "container__pod_name": f"cart-7d9f-abcd{number}"}
    changes = {"process__parent": None, "process__ancestors": above, **container, **changes}
    return event(process__path=f"/{uuid.uuid4()}", **changes)


def test_one_story_in_several_pods_of_a_workload_is_one_incident(estate: Estate) -> None:
    for number in range(2, 5):
        ingest(estate.sensors[number % 2], raw(pod(number, "dpkg", "apt"), pod(number, "sh", "dpkg", "apt")))

    assert incidents() == [6]
    assert Incident.objects.get().story == "package_install"


@pytest.mark.parametrize(
    "other",
    [
        pod(3, "worker"),
        pod(3, "dpkg", "apt", container__name="sidecar"),
        pod(3, "dpkg", "apt", container__namespace="bank"),
        pod(3, "dpkg", "apt", container__pod_labels={}, container__pod_name="web-1"),
        pod(3, "dpkg", "apt", at=now() - dt.timedelta(minutes=30)),
        pod(3, "nginx"),
        pod(3, "dpkg", "apt", process__written_by={"name": "curl", "pid": 3, "at": now().isoformat()}),
        pod(3, "dpkg", "apt", kind="fileless"),
    ],
    ids=["program", "container", "namespace", "workload", "time", "story", "download", "memory"],
)
def test_what_differs_is_another_incident(estate: Estate, other: dict[str, Any]) -> None:
    ingest(estate.sensors[0], raw(pod(2, "dpkg", "apt")))
    ingest(estate.sensors[0], raw(other))

    assert sorted(incidents()) == [1, 1]


def test_an_attack_amid_an_installation_is_an_incident_of_its_own(estate: Estate) -> None:
    curl = {"name": "curl", "pid": 70, "at": now().isoformat()}
    apt = [{"name": "dpkg", "pid": 30}, {"name": "apt", "pid": 20}]
    for number in range(3):
        send(estate, process__path=f"/usr/lib/{number}", process__ancestors=apt)
    send(estate, process__path="/tmp/xmrig", process__ancestors=apt, process__written_by=curl)

    assert sorted(incidents()) == [1, 3]
    assert Alert.objects.get(path="/tmp/xmrig").incident.story == "download"  # type: ignore[union-attr]


def test_an_incident_of_a_portal_from_before_is_left_alone(estate: Estate) -> None:
    send(estate, process__path="/a")
    Incident.objects.update(scope=None, story="")
    send(estate, process__path="/b")

    assert incidents() == [1, 1]


class Statements:
    """The statements that are executed, by Django or by psycopg alone; beginnings and ends of transactions left out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: list[str] = []
        for name in ("execute", "copy"):
            monkeypatch.setattr(psycopg.Cursor, name, self._counted(getattr(psycopg.Cursor, name)))

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(cursor: Any, statement: Any, *arguments: Any, **named: Any) -> Any:
            if "SAVEPOINT" not in str(statement):
                self.texts.append(str(statement))
            return real(cursor, statement, *arguments, **named)

        return counted


def test_a_hundred_new_alerts_take_as_many_statements_as_two(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for size in (2, 100):
        clear_caches()
        ingest(estate.sensors[0], raw(drift(0, "z")))
        with monkeypatch.context() as watched:
            executed = Statements(watched).texts
            ingest(estate.sensors[0], raw(*(drift(n % 9, chr(97 + n % 26), "z") for n in range(size))))
        counts.append(len(executed))

    assert counts[0] == counts[1]


def test_an_alert_of_a_new_file_takes_seventeen_statements(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file, its place; event, rule hit; budget, suppression, incident; evidence, ways, traits; itself, notice."""
    ingest(estate.sensors[0], raw(event(process__path="/a")))
    executed = Statements(monkeypatch).texts

    ingest(estate.sensors[0], raw(event(process__path="/b", process__sha256="b" * 64)))
    assert len(executed) <= 17, "\n".join(executed)


def send(estate: Estate, index: int = 0, **changes: Any) -> None:
    ingest(estate.sensors[index], raw(event(**changes)))


def test_execs_of_one_installation_are_one_incident(estate: Estate) -> None:
    apt = [{"name": "dpkg", "pid": 30}, {"name": "apt", "pid": 20}, {"name": "containerd-shim", "pid": 5}]
    send(estate, process__path="/a", process__parent={"name": "sh", "pid": 31}, process__ancestors=apt)
    send(estate, process__path="/b", process__parent={"name": "sh", "pid": 32}, process__ancestors=apt)

    assert Alert.objects.values("incident").distinct().count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"container__id": "e" * 64},
        {"process__parent": {"name": "sh", "pid": 9}, "process__ancestors": [{"name": "containerd-shim", "pid": 5}]},
        {"at": now() - dt.timedelta(minutes=30)},
    ],
    ids=["another container", "another ancestor", "half an hour before"],
)
def test_unrelated_alerts_are_different_incidents(estate: Estate, other: dict[str, Any]) -> None:
    send(estate, process__path="/a", process__ancestors=[{"name": "containerd-shim", "pid": 5}])
    send(estate, process__path="/b", **other)

    assert Incident.objects.count() == 2


def test_a_container_of_the_same_name_in_another_cluster_is_another_incident(estate: Estate) -> None:
    ingest(estate.sensors[0], raw(event()))
    ingest(estate.sensors[2], raw(event()))

    assert sorted(Incident.objects.values_list("cluster__name", flat=True)) == ["blue", "green"]
