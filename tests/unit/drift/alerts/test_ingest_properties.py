"""Alerts and counts are the same whatever the order, duplication and interleaving of batches."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, AlertHour, DriftEvent
from tests.database import as_owner
from tests.unit.drift.alerts.conftest import VERSION, Estate, event, make_estate, now

pytestmark = [pytest.mark.services, pytest.mark.django_db]

START = now().replace(minute=0, second=0, microsecond=0) - dt.timedelta(days=1)
CLOSED = START + dt.timedelta(hours=2)
SNOOZE_END = START + dt.timedelta(hours=4)
DISMISSED = "/dismissed"


@dataclass(frozen=True)
class Sent:
    """One event of the model; `hours` after START."""

    sensor: int
    path: str
    hours: int
    count: int
    action: str
    outcome: str
    event_id: str

    def json(self) -> dict[str, Any]:
        return event(
            event_id=self.event_id,
            at=START + dt.timedelta(hours=self.hours),
            mode="summary" if self.count > 1 else "exec",
            count=self.count,
            process__path=self.path,
            outcome=self.outcome,
            decision={"action": self.action, "rule": "default", "reason": "default", "policy_number": VERSION},
        )


events = st.builds(
    Sent,
    sensor=st.integers(0, 2),
    path=st.sampled_from(["/a", "/b", DISMISSED]),
    hours=st.integers(1, 6),
    count=st.sampled_from([1, 1, 7]),
    action=st.sampled_from(["alert", "block", "ignore"]),
    outcome=st.sampled_from(["none", "blocked", "not_blocked"]),
    event_id=st.uuids(version=4).map(str),
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Sent], list[list[Sent]]]:
    """(The events, batches that hold each of them at least once): shuffled, cut anywhere, some sent again."""
    sent = draw(st.lists(events, min_size=1, max_size=10, unique_by=lambda each: each.event_id))
    again = draw(st.lists(st.sampled_from(sent), max_size=6))
    order = draw(st.permutations([*sent, *again]))
    cuts = sorted(draw(st.sets(st.integers(0, len(order)), max_size=4)))
    batches = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    return sent, [batch for batch in batches if batch]


def dismissed(estate: Estate) -> None:
    """Cluster blue has one alert that was dismissed at CLOSED and is snoozed until SNOOZE_END."""
    first = Sent(0, DISMISSED, 0, 1, "alert", "none", str(uuid.uuid4()))
    ingest(estate.sensors[0], [json.dumps(first.json()).encode()])
    Alert.objects.update(status="dismissed", verdict="expected", closed_at=CLOSED, quiet_until=SNOOZE_END)


def expected(sent: list[Sent]) -> Counter[tuple[str, str, str, int]]:
    """(cluster, path, which alert of the fingerprint, hour) → executions, as docs/alerts.md has it."""
    counts: Counter[tuple[str, str, str, int]] = Counter({("blue", DISMISSED, "dismissed", 0): 1})
    for each in sent:
        if each.action == "ignore":
            continue
        cluster = "green" if each.sensor == 2 else "blue"
        is_snoozed = (
            cluster == "blue" and each.path == DISMISSED and START + dt.timedelta(hours=each.hours) < SNOOZE_END
        )
        counts[(cluster, each.path, "dismissed" if is_snoozed else "active", each.hours)] += each.count
    return counts


def found() -> Counter[tuple[str, str, str, int]]:
    rows = AlertHour.objects.values_list("alert__cluster__name", "alert__path", "alert__status", "hour", "count")
    return Counter(
        {
            (cluster, path, status, round((hour - START) / dt.timedelta(hours=1))): n
            for cluster, path, status, hour, n in rows
        }
    )


def clear() -> None:
    with as_owner() as cursor:
        for table in ("alertactivity", "alertdetail", "alertpulse", "alerthour", "alert", "incident", "driftevent"):
            cursor.execute(f"DELETE FROM alerts_{table}")


@pytest.fixture
def shared_estate(db: None) -> Estate:
    return make_estate()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(deliveries())
def test_alerts_and_counts_do_not_depend_on_how_events_arrive(
    shared_estate: Estate, delivery: tuple[list[Sent], list[list[Sent]]]
) -> None:
    clear()
    dismissed(shared_estate)
    sent, batches = delivery
    for batch in batches:
        by_sensor: dict[int, list[bytes]] = defaultdict(list)
        for each in batch:
            by_sensor[each.sensor].append(json.dumps(each.json()).encode())
        for sensor, raws in by_sensor.items():
            ingest(shared_estate.sensors[sensor], raws)

    assert DriftEvent.objects.count() == 1 + len(sent)
    assert found() == expected(sent)
    for alert in Alert.objects.select_related("pulse"):
        assert alert.pulse.count == sum(alert.hours.values_list("count", flat=True))
        mine = [each for each in sent if each.action != "ignore" and each.path == alert.path]
        assert alert.status == "dismissed" or alert.first_seen in {START + dt.timedelta(hours=e.hours) for e in mine}
    assert not Alert.objects.filter(status="active", current=False).exists()
