"""Notification routes: who is notified of the new alerts that a query line finds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from drift.alerts.actions import route_alerts as routing
from drift.alerts.actions import score_alerts, suppression_rules, triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.retention import delete_expired
from drift.alerts.actions.sample_alerts import make_samples
from drift.alerts.actions.score_alerts import score_queued
from drift.alerts.actions.suppression_rules import SuppressionDraft
from drift.alerts.actions.triage import StatusChange
from drift.alerts.domain.filters import LABELS
from drift.alerts.domain.query_line import parse_line
from drift.alerts.forms.route import NEVER
from drift.alerts.models import Alert, AlertScoring, RoutedAlert, Status
from drift.alerts.queries.alert_list import matching_alerts
from drift.alerts.queries.route_matches import route_matches
from drift.fleet.actions.quarantine import quarantine_sensor
from drift.notify.actions import deliveries, routes
from drift.notify.actions.gather import gather
from drift.notify.models import (
    AlertRoute,
    MailSettings,
    NoticeDelivery,
    NoticeHold,
    NoticeState,
    PendingNotice,
    Webhook,
)
from tests.unit.drift.alerts.conftest import Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
ClientOf = Callable[[Any], Client]
URL = "/notifications/routes/"
CURL = {"name": "curl", "pid": 9, "at": now().isoformat()}
TEAM = "team@example.com"


@pytest.fixture(autouse=True)
def _mail_server(settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"


@pytest.fixture(autouse=True)
def _no_subscribers(estate: Estate) -> None:
    MailSettings.objects.update(alerts=False)


def route(query: str, name: str = "Payments", *addresses: str) -> AlertRoute:
    return AlertRoute.objects.create(name=name, query=query, addresses=list(addresses or [TEAM]))


def drift(estate: Estate, *paths: str, sensor: int = 0, **changes: Any) -> None:
    ingest(estate.sensors[sensor], raw(*(event(process__path=path, **changes) for path in paths)))


def sweep() -> list[str]:
    """Run what workers do every ten seconds; return the subjects of the mails, in order."""
    mail.outbox.clear()
    score_queued()
    gather()
    deliveries.send_due()
    return sorted(str(message.subject) for message in mail.outbox)


def test_a_route_is_notified_of_the_new_alerts_that_match_whatever_their_severity(estate: Estate) -> None:
    route("cluster:blue severity:high,medium path:/tmp/*")
    drift(estate, "/tmp/a", "/tmp/b", "/opt/c")
    Alert.objects.update(severity="medium")

    assert sweep() == ["[Driftwatch] Payments: 2 new alerts"]
    assert mail.outbox[0].to == [TEAM]
    body = str(mail.outbox[0].body)
    assert "/tmp/a on blue/shop" in body or "/tmp/b on blue/shop" in body  # one of the two, as they are alike
    assert "(× 2)" in body


@pytest.mark.parametrize("again", [0, 26])
def test_a_new_alert_reaches_its_routes_before_all_that_an_upgrade_queued_is_scored(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, again: int
) -> None:
    drift(estate, *(f"/opt/old-{number}" for number in range(30)))
    old = list(AlertScoring.objects.order_by("pk").values_list("alert_id", flat=True))
    route("path:/opt/new")
    drift(estate, "/opt/new", process__sha256="f" * 64)
    # As what a batch teaches does.
    AlertScoring.objects.bulk_create(AlertScoring(alert_id=pk) for pk in old[4 : 4 + again])
    monkeypatch.setattr(score_alerts, "BATCH", 8)
    begun, first, second = 0.0, 1.0, 7.0
    monkeypatch.setattr(score_alerts, "time", SimpleNamespace(monotonic=iter([begun, first, second]).__next__))

    score_queued()

    assert [each.alert.path for each in RoutedAlert.objects.select_related("alert")] == ["/opt/new"]
    # The oldest are not put off for ever by what is newer.
    assert not AlertScoring.objects.filter(alert_id__in=old[:4]).exists()
    assert set(old[10:20]) <= set(AlertScoring.objects.values_list("alert_id", flat=True))


def test_an_alert_is_notified_once_however_often_it_is_scored(estate: Estate) -> None:
    route("path:/tmp/*")
    drift(estate, "/tmp/a")
    assert len(sweep()) == 1
    NoticeHold.objects.all().delete()

    for _ in range(2):
        AlertScoring.objects.create(alert=Alert.objects.get())
        assert sweep() == []


def test_alerts_of_an_incident_are_gathered_for_each_route_on_its_own(estate: Estate) -> None:
    route("path:/tmp/*")
    route("path:/tmp/b", "Others", "others@example.com")
    drift(estate, "/tmp/a")
    assert sweep() == ["[Driftwatch] Payments: 1 new alert"]
    drift(estate, "/tmp/b")

    # The incident of the first route waits for its interval; the other route has not heard of it yet.
    assert sweep() == ["[Driftwatch] Others: 1 new alert"]
    NoticeHold.objects.all().delete()
    assert sweep() == ["[Driftwatch] Payments: 1 new alert"]


def test_an_alert_whose_priority_rises_later_reaches_the_route_then(estate: Estate, operator: User) -> None:
    drift(estate, "/tmp/a", process__argv=["a"], process__parent=None, process__ancestors=[])
    alert = Alert.objects.get()
    AlertRoute.objects.all().delete()
    found = route(f"priority:{alert.priority + 10}+")
    Alert.objects.update(created_at=timezone.now())
    assert sweep() == []

    drift(estate, "/tmp/b", sensor=2, container__namespace="other")
    judged = Alert.objects.exclude(pk=alert.pk).get()
    triage.change_status(operator, {judged.pk: judged.revision}, StatusChange(Status.RESOLVED, "true_positive"))
    assert sweep() == ["[Driftwatch] Payments: 1 new alert"]
    assert RoutedAlert.objects.get().alert_id == alert.pk
    assert RoutedAlert.objects.get().route == found


def test_nothing_is_sent_of_alerts_from_before_the_route_or_its_new_query(estate: Estate, owner: User) -> None:
    drift(estate, "/tmp/a")
    found = route("path:/opt/*")
    assert sweep() == []
    drift(estate, "/tmp/b")

    routes.change_route(owner, found.pk, 1, name="Payments", query="path:/tmp/*", webhooks=[], addresses=[TEAM])
    AlertScoring.objects.bulk_create(AlertScoring(alert=each) for each in Alert.objects.all())
    assert sweep() == []
    drift(estate, "/tmp/c")
    assert sweep() == ["[Driftwatch] Payments: 1 new alert"]


def test_nothing_is_sent_of_what_nobody_has_to_look_at(estate: Estate, owner: User) -> None:
    route("status:active,in_progress")
    condition = {"property": "process_path", "any_of": [{"operator": "equals", "value": "/tmp/suppressed"}]}
    suppression_rules.save(owner, SuppressionDraft("Ours", [condition], covers_new_content=True))
    drift(estate, "/tmp/suppressed")
    make_samples(owner)
    drift(estate, "/a", decision={"action": "ignore", "rule": "default", "reason": "default", "policy_number": 1})
    quarantine_sensor(owner, estate.sensors[0], since=None)
    estate.sensors[0].refresh_from_db()
    drift(estate, "/tmp/quarantined")

    assert sweep() == []
    assert not PendingNotice.objects.exists()


LINES = [
    "cluster:blue", "cluster:green writer:curl", "path:/tmp/*", "path:/tmp/*,/opt/d", "namespace:other", "xmrig",
    "pool", "a", "tmp curl", "severity:high", "severity:low,medium", "priority:60+", "priority:calm", "writer:curl",
    "writer:none", "environment:Shop", "newer:1h", "older:1h", "kind:new_file", "outcome:none", "provider:azure",
    "provider:aws", "pod:secret-pod", "container:app", f"hash:{'a' * 8}", "parent:bash", "node:n1", "assignee:none",
    'rule:"Alert on the shop"', "image:ghcr.io/team/app:1.2", "day:2020-01-01", "status:in_progress",
    "session:exec", "session:none", "writer_session:workload", "writer_origin:drift,none",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_route_is_for_what_the_list_shows(estate: Estate, reader: User, line: str) -> None:
    drift(estate, "/tmp/a", process__written_by=CURL)
    drift(estate, "/tmp/b c", container__namespace="other", container__pod_name="secret-pod")
    known = {"session": "exec", "written_in_session": "workload", "writer_origin": "drift"}
    drift(estate, "/opt/d", sensor=2, process__argv=["quiet"], kind="volume", process__provenance=known)
    found = AlertRoute.objects.create(name="any", query=line, since=timezone.now() - dt.timedelta(hours=1))
    ids = list(Alert.objects.values_list("pk", flat=True))

    shown = set(matching_alerts(reader, parse_line(line)).values_list("pk", flat=True))
    assert {alert.pk for alert in route_matches(found, ids)} == shown


def test_every_filter_is_compared_with_the_list_or_refused() -> None:
    compared = {name for line in LINES for name in parse_line(line).values}

    assert set(LABELS) - compared - set(NEVER) == {"binary", "sensor", "from", "until", "hour"}  # as hash, node, day


def test_a_query_that_a_newer_portal_stored_stops_neither_scoring_nor_other_routes(
    estate: Estate, admin: User, client_of: ClientOf
) -> None:
    route("colour:red", "Newer")
    route("path:/tmp/*")
    drift(estate, "/tmp/a")

    assert sweep() == ["[Driftwatch] Payments: 1 new alert"]
    assert not AlertScoring.objects.exists()
    assert "There is no filter “colour”" in client_of(admin).get(URL).content.decode()


def test_a_route_that_fails_in_the_database_keeps_no_alert_from_its_priority(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    route("path:/tmp/*")
    drift(estate, "/tmp/a")
    Alert.objects.update(priority=0, signals=None)

    def fail(*_: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(routing, "route_matches", fail)
    assert sweep() == []
    assert Alert.objects.get().priority > 0


def test_a_scoring_that_is_rolled_back_sends_nothing_and_the_next_one_does(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drift.alerts.actions import score_alerts

    route("path:/tmp/*")
    drift(estate, "/tmp/a")

    def killed(ids: Any) -> None:
        routing.route_alerts(ids)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(score_alerts, "route_alerts", killed)
        with pytest.raises(KeyboardInterrupt):
            score_queued()
    assert not PendingNotice.objects.filter(kind="route").exists()
    assert sweep() == ["[Driftwatch] Payments: 1 new alert"]


def test_a_webhook_that_fails_for_good_is_shown_and_can_be_retried(
    estate: Estate, admin: User, client_of: ClientOf
) -> None:
    found = route("path:/tmp/*")
    found.webhooks.add(Webhook.objects.create(name="chat", sealed_url=b"", sealed=b"", alerts=False))
    drift(estate, "/tmp/a")
    assert sweep() == ["[Driftwatch] Payments: 1 new alert"]
    for _ in range(len(deliveries.RETRY_DELAYS)):
        NoticeDelivery.objects.filter(state=NoticeState.WAITING).update(next_at=timezone.now())
        deliveries.send_due()

    delivery = NoticeDelivery.objects.get(webhook__name="chat")
    assert delivery.state == NoticeState.DEAD
    assert f"deliveries/{delivery.pk}/retry/" in client_of(admin).get("/notifications/settings/").content.decode()


def test_users_with_a_scope_get_nothing_of_the_whole_estate(estate: Estate) -> None:
    limited = User.objects.create_user("limited@example.com", "Limited", Role.OPERATOR, "x")
    User.objects.filter(pk=limited.pk).update(is_scoped=True)
    route("path:/tmp/*", "Payments", "LIMITED@example.com", TEAM)
    drift(estate, "/tmp/a")
    sweep()

    assert [message.to for message in mail.outbox] == [[TEAM]]


def test_a_removed_route_sends_nothing_more_and_keeps_nothing(estate: Estate, owner: User) -> None:
    found = route("path:/tmp/*")
    drift(estate, "/tmp/a")
    score_queued()
    assert PendingNotice.objects.filter(kind="route").count() == 1

    assert routes.remove_route(owner, found.pk, found.revision)
    assert sweep() == []
    assert not PendingNotice.objects.exists()
    assert not RoutedAlert.objects.exists()


def test_what_was_sent_is_forgotten_with_the_alert(estate: Estate) -> None:
    route("path:/tmp/*")
    drift(estate, "/tmp/a", "/tmp/b")
    sweep()
    Alert.objects.filter(path="/tmp/a").delete()
    delete_expired()

    assert [row.alert.path for row in RoutedAlert.objects.select_related("alert")] == ["/tmp/b"]
