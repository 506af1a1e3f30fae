"""What containers executed is stored once, within a sensor's budget, and no longer than events."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from drift.alerts.actions import store_execs
from drift.alerts.actions.store_execs import delete_expired_execs
from drift.alerts.models import ExecBudget, StoredExec
from drift.fleet.actions.environments import switch_exec_history
from drift.fleet.models import Environment
from tests import golden_wire
from tests.unit.drift.alerts.conftest import Estate, now

pytestmark = [pytest.mark.services, pytest.mark.django_db]
EXECS = "/api/v1/sensors/me/execs"


def an_exec(**changes: Any) -> dict[str, Any]:
    return {
        "exec_id": str(uuid.uuid4()),
        "at": now().isoformat(),
        "pid": 7,
        "uid": 0,
        "path": "/bin/sh",
        "argv": ["sh", "-c", "id"],
        "parent_name": "nginx",
        "ancestors": [{"pid": 1, "started_at": now().isoformat()}],
    } | changes


def report(*execs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"container_id": "c" * 64, "namespace": "shop", "execs": list(execs) or [an_exec()]} | changes


def send(client: Client, *reports: dict[str, Any]) -> Any:
    return client.post(EXECS, json.dumps({"reports": list(reports)}), content_type="application/json")


def test_execs_are_stored_with_their_container_and_place(estate: Estate) -> None:
    sent = an_exec()
    assert send(estate.client(), report(sent, missed=3)).json() == {"accepted": 1, "dropped": 0}
    (stored,) = StoredExec.objects.all()
    assert (str(stored.exec_id), stored.container_id, stored.namespace) == (sent["exec_id"], "c" * 64, "shop")
    assert (stored.sensor, stored.cluster) == (estate.sensors[0], estate.sensors[0].cluster)
    assert (stored.detail["argv"], stored.detail["path"], stored.missed) == (["sh", "-c", "id"], "/bin/sh", 3)


def test_missed_execs_are_those_before_the_first_of_a_report(estate: Estate) -> None:
    send(estate.client(), report(an_exec(pid=1), an_exec(pid=2), missed=5))
    assert dict(StoredExec.objects.values_list("detail__pid", "missed")) == {1: 5, 2: 0}


def test_a_report_that_is_sent_again_changes_nothing_and_costs_nothing(estate: Estate) -> None:
    sent = report(an_exec(), an_exec())
    for _ in range(3):
        assert send(estate.client(), sent).json() == {"accepted": 2, "dropped": 0}
    assert StoredExec.objects.count() == 2
    assert ExecBudget.objects.get().stored == 2


def test_two_sensors_that_send_one_id_have_an_exec_each(estate: Estate) -> None:
    sent = report(an_exec())
    send(estate.client(0), sent)
    send(estate.client(1), sent)
    assert StoredExec.objects.count() == 2


def test_a_stolen_sensor_stores_no_more_than_its_budget(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_execs, "EXECS_PER_HOUR", 20)
    for _ in range(2):
        answer = send(estate.client(), report(*(an_exec() for _ in range(16))))
    assert answer.json() == {"accepted": 4, "dropped": 12}
    assert StoredExec.objects.count() == 20
    assert ExecBudget.objects.get().dropped_at is not None
    assert send(estate.client(1), report()).json() == {"accepted": 1, "dropped": 0}
    ExecBudget.objects.filter(sensor=estate.sensors[0]).update(window_at=timezone.now() - dt.timedelta(hours=1))
    assert send(estate.client(), report()).json() == {"accepted": 1, "dropped": 0}


def test_execs_from_the_future_or_past_their_retention_are_dropped(estate: Estate, settings: Any) -> None:
    old = now() - dt.timedelta(days=settings.EVENT_RETENTION_DAYS + 2)
    odd = [old.isoformat(), (now() + dt.timedelta(hours=1)).isoformat(), "0001-01-02T00:00:00+00:00"]
    answer = send(estate.client(), report(*(an_exec(at=at) for at in odd), an_exec()))
    assert answer.json() == {"accepted": 1, "dropped": 3}


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_outside_the_calendar_is_rejected_with_its_report(estate: Estate, at: str) -> None:
    answer = send(estate.client(), report(), report(an_exec(at=at)))
    assert (answer.status_code, answer.json()["code"], answer.json()["index"]) == (422, "invalid", 1)
    assert StoredExec.objects.count() == 0


def test_an_environment_without_execution_history_stores_nothing(estate: Estate, admin: User) -> None:
    environment = Environment.objects.get()
    switch_exec_history(admin, environment, on=False)
    assert send(estate.client(), report()).json() == {"accepted": 0, "dropped": 1}
    assert StoredExec.objects.count() == 0
    switch_exec_history(admin, environment, on=True)
    assert send(estate.client(), report()).json() == {"accepted": 1, "dropped": 0}


@pytest.mark.parametrize(
    "example",
    golden_wire.examples(golden_wire.GOLDEN / "exec_report.json", "invalid"),
    ids=lambda example: example["name"],
)
def test_a_report_that_is_not_valid_is_rejected_with_its_code(estate: Estate, example: dict[str, Any]) -> None:
    answer = send(estate.client(), report(), example["value"])
    assert (answer.status_code, answer.json()["code"], answer.json()["index"]) == (422, example["code"], 1)
    assert answer.json().get("field") == example["field"]
    assert StoredExec.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[]", 400), (b"{}", 400), (b'{"reports": []}', 400), (b'{"reports": ' + b"[0," * 9, 400)],
)
def test_a_body_that_is_no_batch_is_rejected(estate: Estate, body: bytes, status: int) -> None:
    assert estate.client().post(EXECS, body, content_type="application/json").status_code == status


def test_too_many_reports_are_rejected_and_gzip_is_bounded(estate: Estate) -> None:
    assert send(estate.client(), *[report()] * 65).status_code == 413
    bomb = gzip.compress(b" " * 20_000_000)
    answer = estate.client().post(EXECS, bomb, content_type="application/json", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413


def test_nobody_but_a_sensor_sends_execs(estate: Estate, admin: User, client_of: Callable[[User], Client]) -> None:
    assert send(Client(), report()).status_code == 401
    assert send(client_of(admin), report()).status_code == 401


def test_hostile_strings_are_stored_as_they_are(estate: Estate) -> None:
    argv = ["\u202egnp.exe", "'; DROP TABLE x; --", "😀", "a\\x00b", "%s{}"]
    send(estate.client(), report(an_exec(argv=argv, path="/tmp/\u202e<script>"), container_id="\u202e{}"))
    (stored,) = StoredExec.objects.all()
    assert (stored.detail["argv"], stored.detail["path"]) == (argv, "/tmp/\u202e<script>")


def test_execs_are_deleted_with_the_events_of_their_day(estate: Estate, settings: Any) -> None:
    send(estate.client(), report(an_exec(pid=1), an_exec(pid=2)))
    StoredExec.objects.filter(detail__pid=1).update(
        observed_at=timezone.now() - dt.timedelta(days=settings.EVENT_RETENTION_DAYS + 1)
    )
    assert delete_expired_execs() == 1
    assert [each.detail["pid"] for each in StoredExec.objects.all()] == [2]
    assert delete_expired_execs() == 0


def test_command_lines_are_deleted_when_their_retention_has_passed(estate: Estate, settings: Any) -> None:
    settings.ARGV_RETENTION_DAYS = 3
    send(estate.client(), report(an_exec(pid=1), an_exec(pid=2)))
    StoredExec.objects.filter(detail__pid=1).update(observed_at=timezone.now() - dt.timedelta(days=4))
    delete_expired_execs()
    argv = {
        each.detail["pid"]: (each.detail["argv"], each.detail["argv_truncated"]) for each in StoredExec.objects.all()
    }
    assert argv == {1: ([], True), 2: (["sh", "-c", "id"], False)}


def test_a_batch_of_events_has_no_query_more_for_execs(estate: Estate, post: Callable[..., Any]) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from tests.unit.drift.alerts.conftest import event

    with CaptureQueriesContext(
        connection,
    ) as queries:
        post(estate.client(), event())
    assert not [each["sql"] for each in queries if "storedexec" in each["sql"] or "execbudget" in each["sql"]]
