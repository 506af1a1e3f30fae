"""Alerts reach a SIEM at least once, each change with an id of its own."""

from __future__ import annotations

import datetime as dt
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import ScopeEntry, ScopeGroup
from drift.alerts.actions import triage
from drift.alerts.actions.triage import StatusChange
from drift.alerts.models import Alert, AlertActivity, Resolution, Status
from drift.siem.actions import destinations, forward, syslog
from drift.siem.models import SiemDestination
from drift.siem.queries import records
from drift.siem.queries.destinations import destination_statuses
from tests.unit.drift.alerts.conftest import Estate
from tests.unit.drift.siem.conftest import drift
from tests.unit.drift.siem.receiver import HEADER, Receiver, certificate

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Add = Callable[..., SiemDestination]


def test_a_new_alert_and_each_change_of_its_state_arrive_in_order(
    estate: Estate, operator: Any, receiver: Receiver, to: Add
) -> None:
    row = to(receiver)
    drift(estate, "xmrig")
    alert = Alert.objects.get()
    triage.comment(operator, alert, "looks bad")
    triage.assign(operator, {alert.pk: 1}, operator)
    triage.change_status(operator, {alert.pk: 2}, StatusChange(Status.DISMISSED, Resolution.EXPECTED, "our tool"))

    assert forward.forward(row.pk) == 3
    opened, assigned, dismissed = receiver.records
    assert [each["kind"] for each in receiver.records] == ["opened", "assigned", "status"]
    assert (opened["actor"], opened["alert"]["status"], opened["alert"]["verdict"]) == (None, "active", None)
    assert opened["alert"]["event"]["process"]["path"] == "/srv/xmrig"
    assert opened["alert"]["url"].endswith(f"/alerts/{alert.pk}/")
    assert (assigned["actor"], assigned["after"]) == ("operator@example.com", {"assignee": "Operator"})
    assert (dismissed["alert"]["status"], dismissed["alert"]["verdict"]) == ("dismissed", "expected")
    assert (dismissed["after"]["status"], dismissed["comment"]) == ("dismissed", "our tool")
    assert {each["alert"]["uid"] for each in receiver.records} == {opened["alert"]["uid"]}
    row.refresh_from_db()
    assert (row.cursor, row.sent, row.failures, row.claimed_until) == (AlertActivity.objects.last().pk, 3, 0, None)  # type: ignore[union-attr]


def test_a_message_is_syslog_with_its_length_and_the_severity_of_its_alert(
    estate: Estate, receiver: Receiver, to: Add
) -> None:
    row = to(receiver)
    drift(estate, "xmrig")
    forward.forward(row.pk)
    (message,) = receiver.messages
    found = HEADER.match(message)
    assert found is not None
    assert (found[1], found[4]) == (b"130", b"opened")
    assert dt.datetime.fromisoformat(found[2].decode()).utcoffset() == dt.timedelta(0)
    assert found[2].endswith(b"Z")


@pytest.mark.parametrize("notifies", [True, False])
def test_over_tls_the_receivers_certificate_must_chain_to_the_ca(
    estate: Estate, to: Add, tmp_path: Path, notifies: bool
) -> None:
    context, pem = certificate(tmp_path)
    receiver = Receiver(context, notifies=notifies)
    row = to(receiver, transport="tls", host="localhost", ca=pem)
    unknown = to(receiver, name="without its CA", transport="tls", host="localhost")
    other = to(receiver, name="by another name", transport="tls", host="127.0.0.1", ca=pem)
    drift(estate, "xmrig", "kinsing")

    assert [forward.forward(each.pk) for each in (row, unknown, other)] == [2, 0, 0]
    names = {each["alert"]["event"]["process"]["name"] for each in receiver.records}
    assert names == {"xmrig", "kinsing"}
    assert "the certificate is not valid" in SiemDestination.objects.get(pk=unknown.pk).error
    assert "the certificate is not valid" in SiemDestination.objects.get(pk=other.pk).error
    receiver.close()


def test_a_destination_gets_what_happens_from_now_on_or_all_that_is_stored(
    estate: Estate, receiver: Receiver, to: Add
) -> None:
    drift(estate, "before")
    later, everything = to(receiver), to(receiver, name="all", from_start=True)
    assert [forward.forward(each.pk) for each in (later, everything)] == [0, 1]


class Resetting(Receiver):
    """A receiver that is killed with data unread: its kernel resets the connection."""

    def _serve(self, connection: socket.socket) -> None:
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()


class Dying(Receiver):
    """A receiver that reads everything and is killed before it has stored any: it ends the connection, as always."""

    def _serve(self, connection: socket.socket) -> None:
        self.close()
        while connection.recv(65_536):
            pass
        connection.close()


class Replaced(Receiver):
    """A receiver that dies like that, and whose successor listens before the sender looks."""

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        while connection.recv(65_536):
            pass
        self._listener.close()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        connection.close()


class Stuck(Receiver):
    """A receiver that is stopped: its kernel acknowledges what nobody reads."""

    def _serve(self, connection: socket.socket) -> None:
        self.kept = connection


class Early(Receiver):
    """A receiver that ends each connection without reading it to its end."""

    def _serve(self, connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
        connection.close()


@pytest.mark.parametrize("kind", [Resetting, Dying, Replaced, Stuck, Early])
def test_what_a_dying_receiver_did_not_store_is_sent_again_with_the_same_ids(
    estate: Estate, to: Add, receiver: Receiver, kind: type[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syslog, "BATCH_SECONDS", 1)
    bad = kind()
    row = to(bad)
    drift(estate, *(f"file-{number}" for number in range(200)))
    assert forward.forward(row.pk) == 0
    row.refresh_from_db()
    assert (row.cursor < AlertActivity.objects.earliest("pk").pk, row.failures, row.claimed_until) == (True, 1, None)
    assert row.error
    bad.close()

    SiemDestination.objects.filter(pk=row.pk).update(port=receiver.port, next_at=timezone.now())
    assert forward.forward(row.pk) == 200
    assert len({each["id"] for each in receiver.records}) == 200


def test_a_record_has_the_same_id_however_often_it_is_sent(estate: Estate, receiver: Receiver, to: Add) -> None:
    drift(estate, "xmrig")
    for name in ("one", "two"):
        forward.forward(to(receiver, name=name, from_start=True).pk)
    first, second = receiver.records
    assert first == second


def test_a_receiver_that_is_away_is_tried_again_ever_more_rarely_and_logged_once(
    estate: Estate, receiver: Receiver, to: Add, caplog: pytest.LogCaptureFixture
) -> None:
    row = to(receiver)
    receiver.close()
    drift(estate, "xmrig")
    pauses = []
    for _ in range(6):
        SiemDestination.objects.update(next_at=timezone.now() - dt.timedelta(hours=1))
        forward.forward(row.pk)
        row.refresh_from_db()
        pauses.append(round((row.next_at - timezone.now()).total_seconds() / 5) * 5)
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert row.error == "No connection: connection refused."
    assert [each.getMessage() for each in caplog.records if "forwarding" in each.getMessage()] == [
        "forwarding to SIEM failed, and is retried: No connection: connection refused."
    ]


def test_while_one_worker_sends_another_does_not_until_the_claim_of_a_killed_one_expires(
    estate: Estate, receiver: Receiver, to: Add
) -> None:
    row = to(receiver)
    drift(estate, "xmrig")
    SiemDestination.objects.update(claimed_until=timezone.now() + dt.timedelta(seconds=60))
    assert forward.forward(row.pk) == 0
    SiemDestination.objects.update(claimed_until=timezone.now() - dt.timedelta(seconds=1))
    assert forward.forward(row.pk) == 1


def test_a_worker_that_has_lost_its_claim_does_not_move_the_cursor(
    estate: Estate, receiver: Receiver, to: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = to(receiver)
    drift(estate, "xmrig")
    deliver = syslog.SyslogConnection.deliver

    def slowly(self: syslog.SyslogConnection, encoded: bytes) -> None:
        deliver(self, encoded)
        SiemDestination.objects.update(claim="00000000-0000-4000-8000-000000000000", cursor=7)

    monkeypatch.setattr(syslog.SyslogConnection, "deliver", slowly)
    forward.forward(row.pk)
    row.refresh_from_db()
    assert row.cursor == 7
    assert row.claimed_until is not None


@pytest.mark.django_db(transaction=True)
def test_an_id_that_was_given_out_earlier_and_commits_later_is_not_skipped(
    estate: Estate, receiver: Receiver, to: Add, owner: Any
) -> None:
    row = to(receiver)
    drift(estate, "first")
    alert = Alert.objects.get()
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as slow:
        # Takes its id before the next alert's, and commits after it.
        slow.execute(
            "INSERT INTO alerts_alertactivity (alert_id, at, kind, text) VALUES (%s, now(), 'spread', '')", [alert.pk]
        )
        drift(estate, "second")
        waits = threading.Event()
        done: list[int] = []

        def run() -> None:
            waits.set()
            done.append(forward.forward(row.pk))
            connection.close()

        sender = threading.Thread(target=run)
        sender.start()
        waits.wait()
        sender.join(0.3)
        assert sender.is_alive()
        slow.commit()
        sender.join(30)
    assert [each["kind"] for each in receiver.records] == ["opened", "spread", "opened"]


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_does_not_end_stops_forwarding_and_is_reported(
    estate: Estate, receiver: Receiver, to: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "WRITER_SECONDS", 0.2)
    row = to(receiver)
    drift(estate, "first")
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as slow:
        slow.execute("LOCK TABLE alerts_alertactivity IN ROW EXCLUSIVE MODE")
        assert forward.forward(row.pk) == 0
    row.refresh_from_db()
    assert "A transaction that writes alerts takes very long" in row.error


def test_a_scope_limits_what_is_forwarded_and_without_its_group_nothing_is(
    estate: Estate, receiver: Receiver, to: Add
) -> None:
    group = ScopeGroup.objects.create(name="team")
    ScopeEntry.objects.create(group=group, cluster=estate.sensors[2].cluster)
    row = to(receiver, scope_group=group)
    drift(estate, "blue")
    drift(estate, "green", sensor=2)
    assert forward.forward(row.pk) == 1
    (record,) = receiver.records
    assert record["alert"]["resource"]["cluster"] == "green"
    row.refresh_from_db()
    assert row.cursor == AlertActivity.objects.latest("pk").pk

    group.delete()
    drift(estate, "more", sensor=2)
    assert forward.forward(row.pk) == 0
    assert [each.state for each in destination_statuses()] == ["no scope"]


def test_the_workload_that_ended_a_snooze_is_not_told(estate: Estate, receiver: Receiver, to: Add) -> None:
    row = to(receiver)
    drift(estate, "xmrig")
    AlertActivity.objects.create(alert=Alert.objects.get(), kind="spread", after={"workload": "secret/place"})
    forward.forward(row.pk)
    assert "secret/place" not in json.dumps(receiver.records)
    assert receiver.records[-1]["kind"] == "spread"


def test_a_test_record_arrives_first_and_says_that_it_is_one(
    estate: Estate, owner: Any, receiver: Receiver, to: Add, queued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    row = to(receiver)
    drift(estate, "xmrig")
    with django_capture_on_commit_callbacks(execute=True):
        assert destinations.request_test(owner, row.pk)
    assert queued == [("siem.forward", (row.pk,))]
    assert forward.forward(row.pk) == 2
    assert [each["kind"] for each in receiver.records] == ["test", "opened"]
    assert receiver.records[0]["alert"]["name"] == "This is a test"
    assert forward.forward(row.pk) == 0


def test_a_paused_destination_keeps_its_place(estate: Estate, owner: Any, receiver: Receiver, to: Add) -> None:
    row = to(receiver)
    destinations.switch_destination(owner, row.pk, enabled=False)
    drift(estate, "xmrig")
    assert forward.forward(row.pk) == 0
    (status,) = destination_statuses()
    assert (status.state, status.lag) == ("paused", "1")
    destinations.switch_destination(owner, row.pk, enabled=True)
    assert forward.forward(row.pk) == 1


def test_a_private_address_is_refused_unless_the_operator_allows_it(
    estate: Estate, receiver: Receiver, to: Add, settings: Any
) -> None:
    row = to(receiver)
    settings.NOTIFY_ALLOW_PRIVATE = False
    drift(estate, "xmrig")
    assert forward.forward(row.pk) == 0
    row.refresh_from_db()
    assert row.error == "The host is not on the public internet."
    assert receiver.connections == 0


def test_each_sweep_queues_a_task_per_destination_that_is_due(receiver: Receiver, to: Add, queued: list[Any]) -> None:
    due, waiting = to(receiver), to(receiver, name="waits")
    SiemDestination.objects.filter(pk=waiting.pk).update(next_at=timezone.now() + dt.timedelta(minutes=1))
    forward.enqueue_due()
    assert queued == [("siem.forward", (due.pk,))]


def test_reading_a_batch_uses_the_primary_key(estate: Estate, to: Add, django_assert_max_num_queries: Any) -> None:
    row = to()
    drift(estate, *(f"file-{number}" for number in range(40)))
    with django_assert_max_num_queries(6):
        batch = records.next_batch(row, AlertActivity.objects.latest("pk").pk)
    assert batch is not None
    assert len(batch.records) == 40


def test_a_line_too_slow_for_a_batch_gets_smaller_ones_and_grows_again(
    estate: Estate, receiver: Receiver, to: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = to(receiver)
    drift(estate, *(f"file-{number}" for number in range(40)))
    monkeypatch.setattr(records, "BATCH", 32)
    SiemDestination.objects.update(failures=3)
    sizes: list[int] = []
    deliver = syslog.SyslogConnection.deliver

    def counting(self: syslog.SyslogConnection, encoded: bytes) -> None:
        sizes.append(encoded.count(b" driftwatch - "))
        deliver(self, encoded)

    monkeypatch.setattr(syslog.SyslogConnection, "deliver", counting)
    assert forward.forward(row.pk) == 40
    assert sizes == [4, 16, 20]


def test_an_error_of_ours_shows_on_the_page_and_the_claim_ends(
    estate: Estate, receiver: Receiver, to: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = to(receiver)
    drift(estate, "xmrig")

    def broken(*_: Any) -> Any:
        raise KeyError("path")

    monkeypatch.setattr(forward, "next_batch", broken)
    with pytest.raises(KeyError):
        forward.forward(row.pk)
    row.refresh_from_db()
    assert (row.error, row.failures, row.claimed_until) == ("An internal error; the worker's log has it.", 1, None)
