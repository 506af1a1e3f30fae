"""Notices reach those who see what they are about, and leave with the scope."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts.models import ScopeEntry, ScopeGroup, User
from accounts.roles import Role
from drift.fleet.models import Cluster, Environment
from drift.health.queries.storage_conditions import notifications_outcome
from drift.notify.actions import deliveries, notices
from drift.notify.models import Kind, MailSettings, Notice, NoticeDelivery, Preference
from drift.notify.queries.inbox import unread_count
from drift.notify.queries.recipients import mail_addresses, readers_addresses

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def clusters(db: None) -> list[Cluster]:
    return [
        Cluster.objects.create(
            environment=Environment.objects.create(provider="aws", account=name, name=name),
            name=name,
            distribution="other",
        )
        for name in ("mine", "other")
    ]


@pytest.fixture
def viewer(operator: User, clusters: list[Cluster]) -> User:
    operator.is_scoped = True
    operator.save()
    ScopeEntry.objects.create(user=operator, cluster=clusters[0], namespace="shop")
    return User.objects.get(pk=operator.pk)


def notify(user: User, title: str, *places: tuple[int, str], kind: Kind = Kind.ASSIGNED) -> Notice:
    return notices.notify_user(user, kind, title, "text of " + title, "/alerts/1/", places=places)


@pytest.fixture(autouse=True)
def _sent(queued: list[Any]) -> None:
    """Nothing here reaches a broker."""


def inbox(client: Client) -> str:
    return unescape(client.get("/notifications/").content.decode())


def test_a_notice_is_seen_while_every_alert_of_it_is_in_scope(
    viewer: User, clusters: list[Cluster], client_of: Callable[[User], Client]
) -> None:
    mine, other = (cluster.pk for cluster in clusters)
    notify(viewer, "inside", (mine, "shop"), (mine, "shop"))
    notify(viewer, "half outside", (mine, "shop"), (mine, "bank"))
    notify(viewer, "outside", (other, "shop"), kind=Kind.MENTION)
    notify(viewer, "nowhere")
    page = inbox(client_of(viewer))
    assert "inside" in page.replace("half outside", "").replace("outside", "")
    assert "outside" not in page
    assert "nowhere" not in page
    assert unread_count(viewer) == 1


def test_a_scope_that_is_taken_away_takes_the_notices_out_of_sight(
    viewer: User, clusters: list[Cluster], client_of: Callable[[User], Client]
) -> None:
    notify(viewer, "Old news", (clusters[0].pk, "shop"))
    assert "Old news" in inbox(client_of(viewer))
    ScopeEntry.objects.filter(user=viewer).delete()
    assert "Old news" not in inbox(client_of(viewer))
    assert unread_count(User.objects.get(pk=viewer.pk)) == 0
    assert "Old news" not in client_of(viewer).get("/notifications/bell/").content.decode()


def test_a_user_who_gets_a_scope_loses_sight_of_earlier_notices_outside_it(
    operator: User, clusters: list[Cluster]
) -> None:
    notify(operator, "Whole", (clusters[1].pk, "shop"))
    assert unread_count(operator) == 1
    User.objects.filter(pk=operator.pk).update(is_scoped=True)
    assert unread_count(User.objects.get(pk=operator.pk)) == 0


def test_a_mail_that_waits_is_not_sent_once_the_scope_is_gone(
    viewer: User, clusters: list[Cluster], settings: Any
) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    Preference.objects.create(user=viewer, mail_assignments=True)
    notify(viewer, "Assigned", (clusters[0].pk, "shop"))
    ScopeEntry.objects.filter(user=viewer).delete()
    deliveries.send_due()
    assert mail.outbox == []
    assert NoticeDelivery.objects.get().state == "dead"


def test_a_removed_cluster_takes_its_notices_out_of_sight(viewer: User, clusters: list[Cluster]) -> None:
    ScopeEntry.objects.create(user=viewer, namespace="shop")
    notify(viewer, "Gone", (clusters[1].pk, "bank"))
    clusters[1].delete()
    assert unread_count(User.objects.get(pk=viewer.pk)) == 0


def test_mails_about_the_whole_estate_go_to_nobody_with_a_scope(viewer: User, admin: User, reader: User) -> None:
    settings = MailSettings.objects.get()
    settings.roles = [Role.OPERATOR, Role.ADMIN, Role.READER]
    settings.addresses = ["list@example.com", viewer.email.upper()]
    everybody_group = ScopeGroup.objects.create(name="All", whole_estate=True)
    User.objects.filter(pk=reader.pk).update(is_scoped=True)
    everybody_group.members.add(reader)
    expected = sorted([admin.email, reader.email, "list@example.com"])
    for kind in (Kind.ALERTS, Kind.HEALTH, Kind.HALTED):
        assert mail_addresses(kind, settings) == expected


@pytest.fixture
def mail_server(settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


@pytest.mark.usefixtures("mail_server")
def test_what_waits_for_a_deactivated_user_is_not_mailed_but_for_what_happened_to_the_account(operator: User) -> None:
    Preference.objects.create(user=operator, mail_assignments=True)
    notices.notify_user(operator, Kind.ASSIGNED, "Assigned", "text", "/alerts/1/")
    notices.notify_of_account_change(User, user=operator, change="Your address was changed")
    User.objects.filter(pk=operator.pk).update(is_active=False)
    deliveries.send_due()
    assert [each.subject for each in mail.outbox] == ["[Driftwatch] Your address was changed"]
    User.objects.filter(pk=operator.pk).update(is_active=True)
    deliveries.send_due()
    assert len(mail.outbox) == 1, "nor when the account is active again"
    assert notifications_outcome().state == "ok"


@pytest.mark.usefixtures("mail_server")
@pytest.mark.parametrize("change", [{"is_active": False}, {"is_scoped": True}])
def test_what_waits_for_a_subscriber_is_not_mailed_once_they_may_not_read_it(
    admin: User, change: dict[str, Any]
) -> None:
    notice = Notice.objects.create(kind=Kind.ALERTS, title="New alerts")
    NoticeDelivery.objects.create(notice=notice, address=admin.email.upper())
    NoticeDelivery.objects.create(notice=notice, address="list@example.com")
    User.objects.filter(pk=admin.pk).update(**change)
    deliveries.send_due()
    assert [each.to for each in mail.outbox] == [["list@example.com"]]


def test_deactivated_users_are_left_out_where_settings_or_routes_name_them(admin: User, reader: User) -> None:
    settings = MailSettings.objects.get()
    settings.roles, settings.addresses = [Role.ADMIN], ["list@example.com", reader.email.upper()]
    User.objects.filter(pk=reader.pk).update(is_active=False)
    assert mail_addresses(Kind.ALERTS, settings) == sorted([admin.email, "list@example.com"])
    assert readers_addresses([reader.email, "team@example.com"]) == ["team@example.com"]
