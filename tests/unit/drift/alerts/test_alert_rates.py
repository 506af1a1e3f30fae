"""A rollout in waves whose sensors alert too much halts, gives the reason, and can be rolled back."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, User
from drift import queue
from drift.alerts.actions import alert_rates
from drift.alerts.models import AlertMinute, RateWatch
from drift.fleet.actions import pushes, rollout_control, rollouts
from drift.fleet.domain.rollout_limits import AlertRate
from drift.fleet.models import Cluster, Delivery, DeliveryState, Environment, Rollout, RolloutPlan, Sensor
from drift.policy.models import PolicyVersion
from sensor import policy
from tests.unit.drift.alerts.conftest import RULE, VERSION, Estate, document, event, now

pytestmark = [pytest.mark.services, pytest.mark.django_db]

NOISY = VERSION + 1
Post = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushes, "push_now", lambda message: None)
    monkeypatch.setattr(queue, "send", lambda *task: None)


@pytest.fixture
def rest(estate: Estate) -> Sensor:
    """A sensor of an environment that follows after the wave."""
    environment = Environment.objects.create(provider="aws", account="1", name="Rest")
    cluster = Cluster.objects.create(environment=environment, name="rest", distribution="other")
    token = estate.sensors[0].enrolment_token
    row: Sensor = Sensor.objects.create(
        cluster=cluster,
        node="rest",
        credential_prefix="rest",
        credential_digest=b"",
        enrolment_token=token,
        desired_version_id=VERSION,
    )
    return row


@pytest.fixture
def trial(estate: Estate, rest: Sensor) -> Rollout:
    """The noisy version, applied ten minutes ago by the three sensors of its first wave."""
    Rollout.objects.get_or_create(version_id=VERSION)
    RolloutPlan.objects.update(waves=[{"environments": [estate.sensors[0].cluster.environment_id]}])
    body = {**document(), "detect": ["new_file"]}
    PolicyVersion.objects.create(number=NOISY, document=body, digest=policy.digest(body))
    rollouts.start_rollout(NOISY)
    applied = {"state": DeliveryState.APPLIED, "acknowledged_at": timezone.now() - dt.timedelta(minutes=10)}
    assert Delivery.objects.filter(rollout__version=NOISY).update(**applied) == 3
    Rollout.objects.filter(version=NOISY).update(created_at=timezone.now() - dt.timedelta(minutes=11))
    rollout: Rollout = Rollout.objects.get(version=NOISY)
    return rollout


def alerts(count: int, number: int, minutes_ago: int, **changes: Any) -> list[dict[str, Any]]:
    """Create `count` alerts on version `number`, each of another file."""
    decision = {"action": "alert", "rule": RULE, "reason": "scope", "policy_number": number, **changes}
    at = now() - dt.timedelta(minutes=minutes_ago)
    return [event(at=at, process__path=f"/tmp/{number}-{place}", decision=decision) for place in range(count)]


def send(post: Post, estate: Estate, *events: dict[str, Any], index: int = 0) -> None:
    assert post(estate.client(index), *events).status_code == 200


def is_paused(rollout: Rollout) -> bool:
    rollout.refresh_from_db()
    return rollout.paused_at is not None


def test_a_noisy_version_halts_with_a_reason_and_is_rolled_back_everywhere(
    trial: Rollout, estate: Estate, rest: Sensor, post: Post, admin: User, client_of: Any
) -> None:
    send(post, estate, *alerts(3, VERSION, 30))
    assert alert_rates.report_alert_rates() == 0
    send(post, estate, *alerts(30, NOISY, 5))

    assert alert_rates.report_alert_rates() == 1

    assert is_paused(trial)
    reason = trial.pause_reason
    assert re.fullmatch(
        r"Halted: .* rose from 1\.0 to (60\.0|59\.\d) on the 3 sensors that run it \(limit 3 times\)", reason
    )
    assert AuditEntry.objects.get(verb="halted").after == {"reason": reason}
    page = client_of(admin)
    assert reason in page.get(f"/rollouts/{NOISY}/").content.decode()
    rollouts.sweep()
    rest.refresh_from_db()
    assert rest.desired_version_id == VERSION

    page.post(f"/rollouts/{NOISY}/roll-back/")
    rollouts.start_rollout(NOISY + 1)

    assert set(Sensor.objects.values_list("desired_version_id", flat=True)) == {NOISY + 1}
    assert PolicyVersion.objects.get(number=NOISY + 1).digest == PolicyVersion.objects.get(number=VERSION).digest


def test_an_unchanged_alert_rate_does_not_halt(trial: Rollout, estate: Estate, post: Post) -> None:
    send(post, estate, *alerts(60, VERSION, 30))
    send(post, estate, *alerts(12, NOISY, 5))

    assert alert_rates.report_alert_rates() == 0
    assert not is_paused(trial)


def test_one_alert_that_repeats_counts_once_a_minute(trial: Rollout, estate: Estate, post: Post) -> None:
    same = alerts(1, NOISY, 5)[0]
    minute = now().replace(second=0, microsecond=0) - dt.timedelta(minutes=5)
    again = [
        event(at=minute + dt.timedelta(seconds=s), process=same["process"], decision=same["decision"])
        for s in range(50)
    ]
    send(post, estate, *again)

    assert alert_rates.count_alert_rate(trial).alerts == 1
    assert alert_rates.report_alert_rates() == 0


def test_late_alerts_count_until_their_minute_is_final(trial: Rollout, estate: Estate, post: Post) -> None:
    send(post, estate, *alerts(3, NOISY, 5))
    assert alert_rates.count_alert_rate(trial).alerts == 3

    send(post, estate, *alerts(4, NOISY, 6), index=1)
    assert alert_rates.count_alert_rate(trial).alerts == 7
    RateWatch.objects.update(counted_to=timezone.now() + alert_rates.MAX_DELAY)
    send(post, estate, *alerts(40, NOISY, 5), index=1)
    assert alert_rates.count_alert_rate(trial).alerts == 7


def test_counting_again_changes_nothing_and_finds_a_sensor_that_applied_it_since(
    trial: Rollout, estate: Estate, post: Post
) -> None:
    Delivery.objects.filter(rollout=trial, sensor=estate.sensors[1]).update(state=DeliveryState.FETCHED)
    for index in (0, 1):
        send(post, estate, *alerts(2, VERSION, 30), *alerts(5, NOISY, 5), index=index)
    for _ in range(3):
        rate = alert_rates.count_alert_rate(trial)
        assert (rate.alerts, rate.alerts_before) == (5, 2)

    Delivery.objects.filter(rollout=trial).update(state=DeliveryState.APPLIED)

    rate = alert_rates.count_alert_rate(trial)
    assert (rate.alerts, rate.alerts_before) == (10, 4)


def test_nothing_is_counted_during_another_count(trial: Rollout, estate: Estate, post: Post) -> None:
    send(post, estate, *alerts(40, NOISY, 5))
    with contextlib.closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [alert_rates.LOCK])
        assert alert_rates.report_alert_rates() == 0
        assert not AlertMinute.objects.exists()
        # Given back here: PostgreSQL ends a closed connection, and its locks with it, some time later.
        cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [alert_rates.LOCK])

    assert alert_rates.report_alert_rates() == 1


def test_counts_are_deleted_once_the_rollout_no_longer_halts_on_them(
    trial: Rollout, estate: Estate, post: Post
) -> None:
    send(post, estate, *alerts(3, NOISY, 5))
    alert_rates.report_alert_rates()
    alert_rates.delete_old_rates()
    assert AlertMinute.objects.exists()

    Rollout.objects.filter(pk=trial.pk).update(spread_at=timezone.now())
    alert_rates.delete_old_rates()

    assert not AlertMinute.objects.exists()
    assert not RateWatch.objects.exists()


def test_ignored_events_and_decisions_of_other_versions_do_not_count(
    trial: Rollout, estate: Estate, post: Post
) -> None:
    send(post, estate, *alerts(40, NOISY, 5, action="ignore"))
    send(post, estate, *alerts(40, VERSION, 5))  # late events on the version before

    assert alert_rates.count_alert_rate(trial).alerts == 0
    assert alert_rates.report_alert_rates() == 0


def test_sensors_that_have_not_applied_the_version_do_not_count(trial: Rollout, estate: Estate, post: Post) -> None:
    Delivery.objects.filter(rollout=trial, sensor=estate.sensors[2]).update(state=DeliveryState.FETCHED)
    send(post, estate, *alerts(40, NOISY, 5), index=2)

    rate = alert_rates.count_alert_rate(trial)
    assert (rate.sensors, rate.alerts) == (2, 0)


@pytest.mark.parametrize("change", [{"max_alerts": None}, {"waves_left": 0}, {"spread_at": timezone.now()}])
def test_a_rollout_without_the_limit_or_past_its_waves_is_not_halted(
    trial: Rollout, estate: Estate, post: Post, change: dict[str, Any]
) -> None:
    Rollout.objects.filter(pk=trial.pk).update(**change)
    send(post, estate, *alerts(40, NOISY, 5))

    with CaptureQueriesContext(connection) as queries:
        assert alert_rates.report_alert_rates() == 0
    assert len(queries) == 1
    assert not is_paused(trial)


def test_resuming_lifts_the_limit(trial: Rollout, estate: Estate, post: Post, admin: User) -> None:
    send(post, estate, *alerts(40, NOISY, 5))
    alert_rates.report_alert_rates()

    assert rollout_control.resume_rollout(admin, trial) is True
    assert alert_rates.report_alert_rates() == 0
    assert not is_paused(trial)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (AlertRate(0, 0, 0.0, 0), False),
        (AlertRate(10, 9, 0.1, 0), False),  # too few to be significant
        (AlertRate(10, 10, 0.1, 0), True),
        (AlertRate(10, 300, 10.0, 100), False),  # 30 an hour and sensor, at most 30.3
        (AlertRate(10, 304, 10.0, 100), True),
    ],
)
def test_the_limit_is_a_multiple_of_the_previous_rate(rate: AlertRate, expected: bool) -> None:
    assert rate.exceeds(3) is expected
