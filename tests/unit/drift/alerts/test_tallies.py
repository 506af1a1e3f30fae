"""Tallies equal a fresh count, whatever happens to alerts and whenever they are folded."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift.alerts.actions import triage
from drift.alerts.actions.fold_tallies import delete_empty_tallies, fold_tallies
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.sample_alerts import make_samples
from drift.alerts.errors import ChangeConflict
from drift.alerts.models import (
    Alert,
    AlertGroup,
    AlertTotal,
    Dimension,
    OpenedByHour,
    OpenedByPeriod,
    Resolution,
    Status,
)
from tests.unit.at_once import at_once
from tests.unit.drift.alerts.conftest import Estate, event, make_estate, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PATHS = ["/a", "/b", "/c"]
RESOLUTIONS = {Status.RESOLVED: Resolution.TRUE_POSITIVE, Status.DISMISSED: Resolution.EXPECTED}
COLUMNS = {"rule": "rule_id", "image": "image_name", "namespace": "namespace", "binary": "binary_id"}
Step = tuple[str, Any, Any]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from(PATHS), st.integers(0, 2)),
        st.tuples(st.just("earlier"), st.sampled_from(PATHS), st.integers(1, 50)),
        st.tuples(st.just("decide"), st.sampled_from(PATHS), st.sampled_from(list(Status))),
        st.tuples(st.just("suppress"), st.sampled_from(PATHS), st.none()),
        st.tuples(st.just("go"), st.sampled_from(PATHS), st.none()),
        st.tuples(st.just("samples"), st.none(), st.none()),
        st.tuples(st.just("fold"), st.none(), st.none()),
        st.tuples(st.just("drop empty"), st.none(), st.none()),
    ),
    max_size=14,
)


def take(estate: Estate, user: Any, step: Step) -> None:
    what, one, other = step
    if what == "come":
        ingest(estate.sensors[other], raw(event(process__path=one, container__namespace=f"space-{other}")))
    elif what == "earlier":
        ingest(estate.sensors[0], raw(event(process__path=one, at=now() - dt.timedelta(hours=other))))
    elif what == "decide":
        decide(user, one, other)
    elif what == "suppress":
        Alert.objects.filter(path=one).update(status="dismissed", verdict="suppressed", closed_at=now())
    elif what == "go":
        Alert.objects.filter(path=one).delete()
    elif what == "samples":
        make_samples(user)
    else:
        {"fold": fold_tallies, "drop empty": delete_empty_tallies}[what]()


def decide(user: Any, path: str, status: Status) -> None:
    seen = dict(Alert.objects.filter(path=path).values_list("pk", "revision"))
    try:
        if seen:
            triage.change_status(user, seen, triage.StatusChange(status, RESOLUTIONS.get(status, "")))
    except ChangeConflict:
        pass  # a newer alert has replaced it


def counted() -> dict[str, Counter[Any]]:
    """Return the expected tallies, counted from the alerts themselves."""
    found: dict[str, Counter[Any]] = defaultdict(Counter)
    for alert in Alert.objects.all():
        hour = alert.first_seen.replace(minute=0, second=0, microsecond=0)
        found["hours"][hour, "azure", alert.status] += 1
        for dimension, column in COLUMNS.items():
            key = str(getattr(alert, column))
            day = alert.first_seen.date()
            found["periods"][dimension, "day", day, key] += 1
            found["periods"][dimension, "week", day - dt.timedelta(days=day.weekday()), key] += 1
            found["totals"][dimension, key, alert.status] += 1
            found["groups"][dimension, key, alert.cluster_id, alert.status] += 1
        for name in ("acknowledged", "closed"):
            at = getattr(alert, f"{name}_at")
            if at and alert.verdict != "suppressed":
                found["times"][name] += 1
                found["times"][f"{name}_seconds"] += round((at - alert.created_at).total_seconds(), 3)
    return found


def shown() -> dict[str, Counter[Any]]:
    hours = OpenedByHour.objects.values_list("hour", "provider", "status").annotate(n=Sum("count"))
    periods = OpenedByPeriod.objects.values_list("dimension", "period", "start", "key").annotate(n=Sum("count"))
    totals = AlertTotal.objects.values_list("dimension", "key", "status").annotate(n=Sum("count"))
    groups = AlertGroup.objects.values_list("dimension", "key", "cluster", "status").annotate(n=Sum("count"))
    names = ("acknowledged", "acknowledged_seconds", "closed", "closed_seconds")
    times = OpenedByHour.objects.aggregate(**{f"{name}_sum": Sum(name) for name in names})
    return {
        "hours": Counter({row[:-1]: row[-1] for row in hours if row[-1]}),
        "periods": Counter({row[:-1]: row[-1] for row in periods if row[-1]}),
        "totals": Counter({row[:-1]: row[-1] for row in totals if row[-1]}),
        "groups": Counter({row[:-1]: row[-1] for row in groups if row[-1]}),
        "times": Counter({name: times[f"{name}_sum"] or 0 for name in names}),
    }


def clear() -> None:
    with connection.cursor() as cursor:
        for table in ("activity", "detail", "pulse", "hour"):
            cursor.execute(f"DELETE FROM alerts_alert{table}")
        cursor.execute("DELETE FROM alerts_alert")


@pytest.fixture
def shared_estate(db: None) -> Estate:
    return make_estate()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps)
def test_tallies_equal_a_fresh_count(shared_estate: Estate, operator: Any, story: list[Step]) -> None:
    clear()
    for step in story:
        take(shared_estate, operator, step)

    for fold in (False, True):
        if fold:
            fold_tallies()
        right, found = counted(), shown()
        times = {name: right["times"][name] for name in found["times"]}
        assert dict(found.pop("times")) == pytest.approx(times, abs=0.05)
        assert found == {name: right[name] for name in found}


def test_folding_leaves_nothing_to_add_up_and_no_empty_rows(estate: Estate, operator: Any) -> None:
    ingest(estate.sensors[0], raw(event()))
    decide(operator, event()["process"]["path"], Status.IN_PROGRESS)

    assert fold_tallies() == 3, "opened, and no longer active, and in progress"
    assert fold_tallies() == 0
    assert delete_empty_tallies() == 1 + 2 * len(Dimension), "the hour's, and each group's active ones"


def test_a_string_too_long_for_an_index_is_counted_under_its_prefix(estate: Estate) -> None:
    name = "".join(chr(0x10000 + n) for n in range(1_000))
    ingest(estate.sensors[0], raw(event(container__image_name=name)))

    fold_tallies()

    assert OpenedByPeriod.objects.get(dimension="image", period="day").key == name[:512]


@pytest.mark.django_db(transaction=True)
def test_folding_while_alerts_open_loses_none_and_counts_none_twice(estate: Estate) -> None:
    batches = [raw(*(event(process__path=f"/tmp/{n}-{m}") for m in range(10))) for n in range(6)]

    at_once(
        *(lambda b=b, n=n: ingest(estate.sensors[n % 3], b) for n, b in enumerate(batches)),
        *(fold_tallies for _ in range(3)),
    )
    before = shown()
    fold_tallies()

    assert {name: counts.total() for name, counts in before.items() if name != "times"} == {
        "hours": 60,
        "periods": 480,
        "totals": 240,
        "groups": 240,
    }
    assert shown() == before
