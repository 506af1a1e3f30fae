"""The written list of conditions: each is made to hold, and page and API say so; nothing is well unchecked."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEntry
from accounts.queries.proxy_warnings import KEY as PROXY_KEY
from drift import queue
from drift.alerts.domain.event_table import partition_name
from drift.fleet.actions import environments
from drift.fleet.actions.blocking_switch import stop_all_blocking
from drift.fleet.models import Delivery, Environment, Proof, Rollout, Sensor, SensorStatus, SigningKey
from drift.health.actions import portal_checks
from drift.health.actions.record_health import record_health
from drift.health.domain.conditions import BY_CODE, CONDITIONS
from drift.health.domain.process_reports import KEY
from drift.health.domain.task_reports import ENDED_AT
from drift.health.models import ConditionStart
from drift.health.queries import storage_conditions
from drift.notify.models import Kind, Notice, NoticeDelivery, NoticeState
from drift.siem.models import SiemDestination
from tests.database import as_owner
from tests.unit.drift.fleet import estate
from tests.unit.drift.health import well

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PAGE, API = "/settings/health/", "/api/v1/health/"
HOUR = dt.timedelta(hours=1)
RULE = {
    "id": "0d3b5a7e-52c1-5c0e-9a53-6c2f8f0f6b99",
    "name": "Block",
    "action": "block",
    "scope_description": "Everything",
    "cloud_scope": [{"provider": "azure"}],
    "resource_scope": [],
    "process_scope": [],
    "allow_list": [],
    "enabled": True,
    "unlisted": "decide",
    "expires_at": None,
    "note": "",
}


@pytest.fixture(autouse=True)
def _sends_nothing(queued: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drift.fleet.actions.pushes.push_now", lambda message: None)


class World:
    """What a condition is broken with."""

    def __init__(self, node: Sensor, admin: Any, settings: Any, patch: pytest.MonkeyPatch) -> None:
        self.node, self.admin, self.settings, self.patch = node, admin, settings, patch

    def configure(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.settings, name, value)

    def status(self, **fields: Any) -> None:
        SensorStatus.objects.filter(sensor=self.node).update(**fields)

    def sensor(self, **fields: Any) -> None:
        Sensor.objects.filter(pk=self.node.pk).update(**fields)

    def version(self, number: int = 2, **document: Any) -> None:
        """Save a version that this sensor and its rollout have reached."""
        row = estate.version(number, **document)
        Rollout.objects.create(version=row, spread_at=timezone.now(), finished_at=timezone.now())
        self.sensor(applied_number=number, desired_version_id=number)


class _DatabaseAway:
    def cursor(self) -> Any:
        raise OperationalError("connection to server at secret-host failed")


class _Epoch:
    monotonic = staticmethod(time.monotonic)

    def time(self) -> float:
        return 0.0


def _queued(sent_at: float) -> None:
    queue.redis_client().lpush("celery", json.dumps({"body": "", "headers": {"sent_at": sent_at}}))


def _drop_tomorrow() -> None:
    day = timezone.now().date() + dt.timedelta(days=2)
    with as_owner() as cursor:
        cursor.execute(f"DROP TABLE {partition_name(day)}")


def _unsealed() -> None:
    audit.record(None, "changed", "setting", 1)
    with as_owner() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE accounts_auditentry SET at = now() - interval '11 minutes'")
        cursor.execute("SET session_replication_role = DEFAULT")


def _undelivered() -> None:
    notice = Notice.objects.create(kind=Kind.ALERTS, title="x")
    NoticeDelivery.objects.create(notice=notice, address="a@b.example", state=NoticeState.DEAD)


def _overdue_delivery(world: World) -> None:
    world.version()
    rollout = Rollout.objects.get(version=2)
    Delivery.objects.create(rollout=rollout, sensor=world.node, created_at=timezone.now() - HOUR)


def _key(world: World) -> None:
    SigningKey.objects.create(key_id="new", public_key=b"", sealed_private_key=b"")
    world.status(key_ids=["old"])


def _expired(world: World) -> None:
    from drift.fleet.actions.bundles import signed_bundle

    signed_bundle(1)
    with as_owner() as cursor:
        cursor.execute("UPDATE fleet_bundle SET created_at = now() - interval '2 hours'")
    world.sensor(bundle_at=timezone.now() - dt.timedelta(days=8))


def _cannot_hold(world: World) -> None:
    world.version(rules=[RULE])
    world.status(capabilities=["ebpf", "block", "library"])


def _unproven(world: World) -> None:
    yesterday = timezone.now() - dt.timedelta(days=1)
    Environment.objects.update(proved_since=yesterday)
    world.sensor(enrolled_at=yesterday)
    Proof.objects.update(seen_at=timezone.now() - dt.timedelta(hours=3))


BREAK: dict[str, Callable[[World], Any]] = {
    "database": lambda w: w.patch.setattr(storage_conditions, "connection", _DatabaseAway()),
    "database_service": lambda w: w.patch.setattr(storage_conditions, "SLOW_SECONDS", -1.0),
    "redis": lambda w: w.configure(REDIS_URL="redis://:not-to-be-shown@127.0.0.1:1/0"),
    "worker": lambda w: well.report("worker", ago=11),
    "beat": lambda w: well.report("beat", ago=11),
    "gateway": lambda w: well.report("gateway", ago=11),
    "queue": lambda w: _queued(time.time() - 61),
    "tasks": lambda w: queue.redis_client().hset(ENDED_AT, "fleet.sweep", int(time.time() - 91)),
    "partitions": lambda w: _drop_tomorrow(),
    "disk": lambda w: w.patch.setattr(storage_conditions, "database_bytes", lambda: 801 * storage_conditions.GIB),
    "portal_clock": lambda w: w.patch.setattr("drift.health.queries.storage_conditions.time", _Epoch()),
    "audit_seal": lambda w: _unsealed(),
    "database_role": lambda w: None,
    "proxies": lambda w: cache.set(PROXY_KEY, "TRUSTED_PROXIES does not match."),
    "second_approver": lambda w: w.configure(SECOND_APPROVER="all", SECOND_APPROVER_ENVIRONMENTS=[("aws", "missing")]),
    "siem": lambda w: SiemDestination.objects.create(
        name="s", transport="file", file_name="f", record_format="json", failures=3
    ),
    "notifications": lambda w: _undelivered(),
    "no_sensors": lambda w: w.sensor(state="retired", ended_at=timezone.now()),
    "environment_off": lambda w: environments.switch_sensor(
        w.admin, estate.environment("gcp", "off", proved_since=timezone.now()), on=False
    ),
    "blocking_stopped": lambda w: stop_all_blocking(w.admin),
    "rollout_stuck": lambda w: Rollout.objects.update(spread_at=None, progress_at=timezone.now() - HOUR),
    "rollout_paused": lambda w: Rollout.objects.update(spread_at=None, paused_at=timezone.now()),
    "detection_narrowed": lambda w: w.version(detect=[]),
    "unmonitored_kinds": lambda w: w.status(capabilities=["ebpf", "block", "hold"]),
    "unenforceable": _cannot_hold,
    "paused": lambda w: w.status(paused_rules=[{"rule": "r1", "workloads": 5}]),
    "quarantined": lambda w: w.sensor(quarantined_at=timezone.now(), set_aside_since=timezone.now() - HOUR),
    "shared": lambda w: w.status(returns=9, returned_at=timezone.now()),
    "contested": lambda w: w.sensor(contested_at=timezone.now()),
    "keys": _key,
    "dark": lambda w: w.status(last_seen_at=timezone.now() - dt.timedelta(minutes=4)),
    "unproven": _unproven,
    "expired": _expired,
    "lag": _overdue_delivery,
    "losses": lambda w: w.status(lost_at=timezone.now()),
    "sensor_clock": lambda w: w.status(clock_offset=-61.0),
    "recreated": lambda w: w.sensor(took_over_at=timezone.now()),
    "gaps": lambda w: w.status(gap_count=2),
    "fallback": lambda w: w.status(backend="fanotify"),
    "outdated": lambda w: w.status(sensor_version="0.0.9+g12345678"),
}
"""How each condition is made to hold, and nothing else."""
NOT_CHECKED = {
    "database": {
        "database_service",
        "partitions",
        "disk",
        "portal_clock",
        "audit_seal",
        "database_role",
        "proxies",
        "second_approver",
        "siem",
        "notifications",
    },
    "redis": {"worker", "beat", "gateway", "queue", "tasks", "portal_clock"},
}
"""What cannot be checked meanwhile."""


def states(api: Any) -> dict[str, str]:
    return {row["code"]: row["state"] for row in api.get(API).json()["conditions"]}


def test_every_condition_of_the_list_is_made_to_hold() -> None:
    assert BREAK.keys() == BY_CODE.keys()


def test_all_is_well_only_where_each_condition_was_checked(
    node: Sensor, owner: Any, api_of: Any, client_of: Any
) -> None:
    body = api_of(owner).get(API).json()

    assert {row["code"]: row["state"] for row in body["conditions"] if row["state"] != "ok"} == {}
    assert (body["state"], len(body["conditions"])) == ("ok", len(CONDITIONS))
    assert f"All is well: each of {len(CONDITIONS)} conditions was checked." in estate.text_of(
        client_of(owner).get(PAGE)
    )


@pytest.mark.parametrize("code", BY_CODE)
def test_each_condition_that_holds_is_on_the_page_and_in_the_api(
    node: Sensor, admin: Any, owner: Any, api_of: Any, client_of: Any, settings: Any, monkeypatch: Any, code: str
) -> None:
    browser, api = client_of(owner), api_of(owner)
    BREAK[code](World(node, admin, settings, monkeypatch))

    with as_owner() if code == "database_role" else contextlib.nullcontext():
        body, page = api.get(API).json(), estate.text_of(browser.get(PAGE))

    found = {row["code"]: row for row in body["conditions"]}
    assert {each for each, row in found.items() if row["state"] == "failing"} == {code}
    assert {each for each, row in found.items() if row["state"] == "not_checked"} == NOT_CHECKED.get(code, set())
    assert body["state"] == "failing"
    condition = BY_CODE[code]
    assert f'id="condition-{code}"' in page
    for text in (condition.title, condition.fails, condition.means, condition.action):
        assert estate.escaped(text.replace("`", "")) in page
    assert "All is well" not in page
    assert "secret-host" not in page
    assert "not-to-be-shown" not in page
    assert (found[code]["sensors"] == [str(node.pk)]) is condition.of_sensors


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("disk", "set DATABASE_DISK_GIB or DISK_PATHS"),
        ("sensor_clock", "1 sensor of an older release does not report it"),
        ("unproven", "proof of detection is off in 1 of 1 environments"),
    ],
)
def test_what_cannot_be_checked_is_not_well(
    node: Sensor, owner: Any, api_of: Any, client_of: Any, settings: Any, code: str, reason: str
) -> None:
    if code == "disk":
        settings.DATABASE_DISK_GIB = 0
    SensorStatus.objects.update(clock_offset=None if code == "sensor_clock" else 0.0)
    Environment.objects.update(proved_since=None if code == "unproven" else timezone.now())

    body, page = api_of(owner).get(API).json(), estate.text_of(client_of(owner).get(PAGE))

    assert body["state"] == "not_checked"
    assert [row["code"] for row in body["conditions"] if row["state"] == "not_checked"] == [code]
    assert reason in next(row["detail"] for row in body["conditions"] if row["code"] == code)
    assert "No problem found, but 1 of" in page
    assert "All is well" not in page


def test_a_full_disk_is_shown_also_where_the_database_has_ended_because_of_it(
    node: Sensor, owner: Any, api_of: Any, settings: Any, monkeypatch: Any
) -> None:
    settings.DISK_PATHS = ["/"]
    monkeypatch.setattr(storage_conditions, "FREE_SHARE", 2.0)
    monkeypatch.setattr(storage_conditions, "connection", _DatabaseAway())

    found = states(api_of(owner))

    assert (found["database"], found["disk"], found["partitions"]) == ("failing", "failing", "not_checked")


def test_the_page_names_the_first_sensors_in_a_constant_number_of_queries(
    node: Sensor, reader: Any, client_of: Any, django_assert_max_num_queries: Any
) -> None:
    for place in range(30):
        well.sensor(f"silent-{place:02}", last_seen_at=timezone.now() - dt.timedelta(minutes=9), lost_at=timezone.now())
    browser = client_of(reader)
    browser.get(PAGE)

    with django_assert_max_num_queries(49):
        page = estate.text_of(browser.get(PAGE))

    assert "The first 20 of 30 sensors." in page
    assert page.count("silent-19") == 2
    assert "silent-20" not in page


def test_the_live_part_answers_304_while_nothing_changed(node: Sensor, reader: Any, client_of: Any) -> None:
    browser = client_of(reader)
    first = browser.get(PAGE, headers={"HX-Request": "true"})

    again = browser.get(PAGE, headers={"HX-Request": "true", "If-None-Match": first["ETag"]})

    assert (first.status_code, again.status_code) == (200, 304)


def test_since_is_when_it_was_switched_and_else_when_it_was_first_found(
    node: Sensor, admin: Any, owner: Any, api_of: Any
) -> None:
    stop_all_blocking(admin)
    off = estate.environment("gcp", "off", proved_since=timezone.now())
    environments.switch_sensor(admin, off, on=False)
    SensorStatus.objects.update(gap_count=1)
    record_health()
    first = ConditionStart.objects.get(code="gaps").began_at
    record_health()

    since = {row["code"]: row["since"] for row in api_of(owner).get(API).json()["conditions"]}

    switched = AuditEntry.objects.get(object_type="environment", object_id=str(off.pk)).at
    assert dt.datetime.fromisoformat(since["environment_off"]) == switched
    assert dt.datetime.fromisoformat(since["gaps"]) == first
    assert since["blocking_stopped"] is not None
    assert since["worker"] is None

    SensorStatus.objects.update(gap_count=0)
    record_health()
    assert not ConditionStart.objects.filter(code="gaps").exists()


def test_weaknesses_of_the_portal_are_for_those_who_administer_it(
    node: Sensor, reader: Any, admin: Any, api_of: Any
) -> None:
    seen = {"reader": states(api_of(reader)), "admin": states(api_of(admin))}

    assert seen["admin"].keys() == BY_CODE.keys()
    hidden = {condition.code for condition in CONDITIONS if condition.audience == "admins"}
    assert seen["admin"].keys() - seen["reader"].keys() == hidden


def test_a_process_that_never_reported_is_dead_unless_redis_has_just_started(
    node: Sensor, owner: Any, api_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.redis_client().delete(KEY)
    facts = portal_checks.redis_facts()
    found = {}
    for uptime in (5.0, 100.0):
        monkeypatch.setattr(portal_checks, "redis_facts", lambda seconds=uptime: replace(facts, uptime=seconds))
        found[uptime] = states(api_of(owner))["worker"]

    assert found == {5.0: "not_checked", 100.0: "failing"}


def test_a_dry_run_of_a_blocking_rule_needs_no_sensor_that_can_block(
    node: Sensor, owner: Any, api_of: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(node, None, settings, monkeypatch)
    world.version(rules=[{**RULE, "dry_run": True}])
    world.status(capabilities=["ebpf", "library"])

    assert states(api_of(owner))["unenforceable"] == "ok"
