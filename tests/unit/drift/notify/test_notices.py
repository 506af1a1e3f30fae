"""Who is notified of what, and how often."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from drift.alerts.actions import triage
from drift.alerts.actions.event_keys import clear_caches
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.sample_alerts import make_samples
from drift.alerts.models import Alert
from drift.fleet.actions import notifications as alarms
from drift.fleet.models import Rollout, SensorStatus
from drift.health.actions import health_report
from drift.health.actions.record_health import record_health
from drift.health.domain.conditions import BY_CODE
from drift.health.domain.outcomes import failing, ok
from drift.notify.actions import channels, deliveries, notices, post_webhook
from drift.notify.actions import settings as settings_actions
from drift.notify.actions.channels import mail as mail_channel
from drift.notify.actions.channels import webhook as webhook_channel
from drift.notify.actions.gather import gather
from drift.notify.domain.messages import MAX_LINES
from drift.notify.models import Kind, MailSettings, Notice, NoticeDelivery, NoticeHold, NoticeState, PendingNotice
from drift.policy.models import PolicyVersion
from tests.unit.drift.alerts.conftest import Estate, event, make_estate, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]


@pytest.fixture(autouse=True)
def _mail_server(settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"


@pytest.fixture
def estate(db: None) -> Estate:
    clear_caches()
    return make_estate()


def drift(estate: Estate, *paths: str, **changes: Any) -> None:
    ingest(estate.sensors[0], raw(*(event(process__path=path, **changes) for path in paths)))


def sweep() -> list[str]:
    """Run what a worker does every ten seconds; return the subjects of its mails, oldest first."""
    mail.outbox.clear()
    gather()
    deliveries.send_due()
    return [str(message.subject) for message in mail.outbox]


def later(minutes: int) -> None:
    """Let that much time pass for held notices."""
    for hold in NoticeHold.objects.all():
        NoticeHold.objects.filter(pk=hold.pk).update(until=hold.until - dt.timedelta(minutes=minutes))


def test_an_owner_gets_one_mail_per_incident_of_new_high_severity_alerts(
    estate: Estate, owner: Any, reader: Any
) -> None:
    drift(estate, "/a", "/b")

    assert sweep() == ["[Driftwatch] 2 new High alerts"]
    assert mail.outbox[0].to == [owner.email]
    assert "(× 2)" in str(mail.outbox[0].body)
    assert sweep() == []


def test_alerts_within_the_interval_are_mailed_after_it(estate: Estate, owner: Any) -> None:
    drift(estate, "/a")
    sweep()
    drift(estate, "/b")
    drift(estate, "/c")

    assert sweep() == []
    later(61)
    assert sweep() == ["[Driftwatch] 2 new High alerts"]


def pending(count: int, key: str = "incident {}", title: str = "Alert {}") -> None:
    """Create the notices that so many batches would leave."""
    notices.notify_subscribers(
        Kind.ALERTS,
        [PendingNotice(key=key.format(n), title=title.format(n), path=f"/alerts/{n}/") for n in range(count)],
    )


def test_one_sweep_mails_all_alerts_however_many(owner: Any) -> None:
    pending(6_000)

    assert sweep() == ["[Driftwatch] 6,000 new High alerts"]
    lines = str(mail.outbox[0].body).splitlines()
    assert (lines[0], lines[MAX_LINES]) == ("Alert 0 (× 1)", "… and 5,990 more")
    assert not PendingNotice.objects.exists()


def test_a_busy_incident_that_is_held_back_leaves_one_row(owner: Any) -> None:
    pending(1, "incident 1")
    sweep()
    pending(50, "incident 1", "Batch {}")

    assert sweep() == []
    assert [(row.title, row.count, row.path) for row in PendingNotice.objects.all()] == [("Batch 0", 50, "/alerts/0/")]
    pending(1, "incident 1", "Later")
    later(61)
    assert sweep() == ["[Driftwatch] 51 new High alerts"]
    assert str(mail.outbox[0].body).splitlines()[0] == "Batch 0 (× 51)"


def test_another_incident_does_not_wait(estate: Estate, owner: Any) -> None:
    drift(estate, "/a")
    sweep()
    drift(estate, "/b", container__id="d" * 64, container__namespace="another")

    assert sweep() == ["[Driftwatch] 1 new High alert"]


def test_more_events_of_an_alert_and_sample_alerts_notify_nobody(estate: Estate, owner: Any) -> None:
    drift(estate, "/a")
    sweep()
    later(61)
    drift(estate, "/a")
    make_samples(owner)

    assert sweep() == []


def test_ignored_drift_notifies_nobody(estate: Estate, owner: Any) -> None:
    drift(estate, "/a", decision={"action": "ignore", "rule": "default", "reason": "default", "policy_number": 1})

    assert sweep() == []


def test_a_batch_that_is_not_stored_notifies_nobody(
    estate: Estate, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drift.alerts.actions import open_alerts, raise_alerts

    def fail_after(*arguments: Any, **named: Any) -> None:
        open_alerts.open_alerts(*arguments, **named)
        raise RuntimeError

    monkeypatch.setattr(raise_alerts, "open_alerts", fail_after)
    with pytest.raises(RuntimeError):
        drift(estate, "/a")

    assert not PendingNotice.objects.exists()


def test_without_recipients_no_notices_accumulate(estate: Estate, owner: Any) -> None:
    MailSettings.objects.update(alerts=False)
    drift(estate, "/a")

    assert sweep() == []
    assert not PendingNotice.objects.exists()
    assert not Notice.objects.exists()


def test_an_address_that_also_belongs_to_a_user_gets_one_mail(estate: Estate, owner: Any) -> None:
    MailSettings.objects.update(addresses=[owner.email.upper(), "team@example.com"])
    drift(estate, "/a")
    sweep()

    assert len({message.to[0].lower() for message in mail.outbox}) == len(mail.outbox) == 2


def comment(actor: Any, text: str) -> None:
    triage.comment(actor, Alert.objects.get(), text)


def test_mentioned_users_are_notified_on_their_page_and_by_mail_if_they_chose_it(
    estate: Estate, operator: Any, reader: Any, owner: Any, client_of: ClientOf
) -> None:
    MailSettings.objects.update(alerts=False)
    drift(estate, "/a")
    settings_actions.change_preferences(reader, mail_mentions=True, mail_assignments=False)
    comment(operator, f"@{reader.email} and @{owner.email} look, says @{operator.email}")

    assert sweep() == [f"[Driftwatch] {operator.name} mentioned you on alert {Alert.objects.get().pk}"]
    assert mail.outbox[0].to == [reader.email]
    page = client_of(owner).get("/notifications/").content.decode()
    assert "mentioned you" in page
    assert not Notice.objects.filter(user=operator).exists()


def test_an_assignee_is_notified_once_of_all_alerts(estate: Estate, operator: Any, admin: Any) -> None:
    drift(estate, "/a", "/b")
    triage.assign(admin, dict(Alert.objects.values_list("pk", "revision")), operator)
    notice = Notice.objects.get(user=operator)

    assert (notice.kind, notice.title) == (Kind.ASSIGNED, f"{admin.name} assigned 2 alerts to you")


def test_users_who_assign_an_alert_to_themselves_are_not_notified(estate: Estate, operator: Any) -> None:
    drift(estate, "/a")
    triage.assign(operator, dict(Alert.objects.values_list("pk", "revision")), operator)

    assert not Notice.objects.filter(user=operator).exists()


def test_a_sensor_s_problem_is_notified_when_it_begins_and_when_it_recurs(
    estate: Estate, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_report, "portal_outcomes", lambda: {code: ok() for code in BY_CODE})
    Rollout.objects.all().delete()
    for version in PolicyVersion.objects.all():
        Rollout.objects.create(version=version, spread_at=timezone.now())
    for sensor in estate.sensors:
        SensorStatus.objects.create(sensor=sensor, last_seen_at=timezone.now(), backend="ebpf", capabilities=[])
    SensorStatus.objects.filter(sensor=estate.sensors[0]).update(last_seen_at=timezone.now() - dt.timedelta(hours=1))
    record_health()
    record_health()

    assert sweep() == ["[Driftwatch] 1 condition needs attention"]
    assert "n1 in blue" in str(mail.outbox[0].body)
    for _ in range(3):
        later(50)
        record_health()
        assert sweep() == []
    later(61)
    sweep()
    record_health()
    assert sweep() == ["[Driftwatch] 1 condition needs attention"]


def test_each_further_cluster_that_lost_all_sensors_is_notified_by_name(
    estate: Estate, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {code: ok() for code in BY_CODE}
    monkeypatch.setattr(health_report, "portal_outcomes", lambda: found)
    monkeypatch.setattr(health_report, "protection_outcomes", lambda viewer: found)
    mails = []
    for names in ("one in blue", "one in blue", "one in blue, two in blue"):
        found["no_sensors"] = failing(names, is_named=True)
        record_health()
        mails.append([names in str(each.body) for each in mail.outbox] if sweep() else [])
    assert mails == [[True], [], [True]]


def test_a_halted_rollout_is_notified(estate: Estate, owner: Any) -> None:
    rollout = Rollout.objects.order_by("-pk").first() or Rollout(pk=1, version_id=1)
    alarms.notify_halted_rollout(rollout, "Halted: 3 of 4 sensors rejected it")

    assert sweep() == ["[Driftwatch] 1 rollout was halted"]
    assert "3 of 4" in str(mail.outbox[0].body)


def test_a_failed_notice_is_retried_then_abandoned_and_can_be_retried_by_hand(
    owner: Any, monkeypatch: pytest.MonkeyPatch, client_of: ClientOf
) -> None:
    def refuse(*_: Any) -> None:
        raise ConnectionRefusedError("secret internals")

    with monkeypatch.context() as broken:
        broken.setattr(mail_channel, "send", refuse)
        deliveries.send_test(owner, None)
        for _ in range(len(deliveries.RETRY_DELAYS) + 1):
            assert NoticeDelivery.objects.get().state == NoticeState.WAITING
            NoticeDelivery.objects.update(next_at=timezone.now())
            deliveries.send_due()
    delivery = NoticeDelivery.objects.get()
    assert (delivery.state, delivery.error) == (NoticeState.DEAD, "ConnectionRefusedError")
    deliveries.send_due()
    assert NoticeDelivery.objects.get().attempts == delivery.attempts

    assert client_of(owner).post(f"/notifications/settings/deliveries/{delivery.pk}/retry/").status_code == 302
    deliveries.send_due()
    assert NoticeDelivery.objects.get().state == NoticeState.SENT


def test_a_notice_that_cannot_be_sent_does_not_stop_the_others(owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = deliveries.send_test(owner, None)
    deliveries.send_test(owner, None)
    assert first is not None
    real = mail_channel.send

    def some(delivery: NoticeDelivery) -> None:
        if delivery.pk == first.pk:
            raise TimeoutError
        real(delivery)

    monkeypatch.setattr(mail_channel, "send", some)
    deliveries.send_due()

    assert sorted(NoticeDelivery.objects.values_list("state", flat=True)) == [NoticeState.SENT, NoticeState.WAITING]


def test_a_notice_of_a_newer_version_s_channel_waits_for_its_worker(
    owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries.send_test(owner, None)
    monkeypatch.setattr(channels, "CHANNELS", ())
    deliveries.send_due()
    delivery = NoticeDelivery.objects.get()
    assert (delivery.state, delivery.error) == (NoticeState.WAITING, "UnknownChannel")


def test_a_notice_that_was_just_claimed_is_not_sent_twice(owner: Any) -> None:
    deliveries.send_test(owner, None)
    assert len(deliveries._claim()) == 1
    assert deliveries._claim() == []


def test_an_attempt_that_was_overtaken_changes_nothing(owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a slow attempt would queue a delivered message again."""
    deliveries.send_test(owner, None)

    def slow(_: NoticeDelivery) -> None:
        monkeypatch.undo()
        NoticeDelivery.objects.update(next_at=timezone.now())
        deliveries.send_due()
        raise TimeoutError

    monkeypatch.setattr(mail_channel, "send", slow)
    deliveries.send_due()

    assert (NoticeDelivery.objects.get().state, len(mail.outbox)) == (NoticeState.SENT, 1)


def test_a_notice_delayed_past_its_next_attempt_is_left_to_that_attempt(
    owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries.send_test(owner, None)
    monkeypatch.setitem(deliveries.__dict__, "RETRY_DELAYS", (dt.timedelta(),))
    deliveries.send_due()

    assert (NoticeDelivery.objects.get().state, len(mail.outbox)) == (NoticeState.WAITING, 0)


def test_a_file_s_name_adds_no_lines_to_a_message(estate: Estate, owner: Any) -> None:
    drift(estate, "/tmp/a\n\nSign in again: https://evil.example/")
    sweep()

    assert "/tmp/a Sign in again" in str(mail.outbox[0].body)


@pytest.mark.parametrize("channel", [mail_channel, webhook_channel])
def test_a_message_shows_hidden_characters_as_escapes(
    owner: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, channel: Any
) -> None:
    posted: list[bytes] = []
    monkeypatch.setattr(post_webhook, "post", lambda _, body, __: posted.append(body))
    hook, _ = settings_actions.add_webhook(owner, name="SIEM", url="https://example.com/", alerts=True, health=True)
    notice = Notice.objects.create(kind=Kind.MENTION, title="ev\u202eli\u200bx", text="a\u2066b\nc\ufe00")
    goes_to = {"address": owner.email} if channel is mail_channel else {"webhook": hook}

    channel.send(NoticeDelivery.objects.create(notice=notice, **goes_to))

    if channel is mail_channel:
        title, text = str(mail.outbox[0].subject), str(mail.outbox[0].body)
    else:
        title, text = json.loads(posted[0])["title"], json.loads(posted[0])["text"]
    assert title.endswith("ev\\u202eli\\u200bx")
    assert text.startswith("a\\u2066b\nc\\ufe00")


def test_notices_are_deleted_after_thirty_days(owner: Any) -> None:
    notice = notices.notify_user(owner, Kind.MENTION, "Old", "", "")
    Notice.objects.filter(pk=notice.pk).update(created_at=timezone.now() - dt.timedelta(days=31))
    notices.notify_user(owner, Kind.MENTION, "New", "", "")
    deliveries.delete_old_notices()

    assert list(Notice.objects.values_list("title", flat=True)) == ["New"]
