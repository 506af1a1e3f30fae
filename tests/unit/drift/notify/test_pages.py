"""The pages of notifications."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry
from drift.notify.actions import notices
from drift.notify.models import Kind, MailSettings, Notice, Preference, Webhook
from tests.unit.drift.fleet.estate import together

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
URL = "/notifications/settings/"


def test_an_admin_sets_recipients_and_the_change_is_audited(admin: Any, client_of: ClientOf) -> None:
    values = {"roles": ["admin", "owner"], "addresses": "a@example.com\nb@example.com", "alerts": "on"}
    answer = client_of(admin).post(URL, values | {"interval_minutes": "30"})

    row = MailSettings.objects.get()
    assert answer.status_code == 302
    assert (row.roles, row.addresses) == (["admin", "owner"], ["a@example.com", "b@example.com"])
    assert (row.alerts, row.health, row.interval_minutes) == (True, False, 30)
    entry = AuditEntry.objects.latest("pk")
    assert (entry.verb, (entry.before or {})["interval_minutes"]) == ("changed", 60)


@pytest.mark.parametrize(
    "wrong",
    [
        {"roles": ["god"]},
        {"addresses": "no address"},
        {"interval_minutes": "0"},
        {"addresses": "a@b.example " * 51},
        {"addresses": f"a@{'.'.join(['b' * 60] * 5)}.example"},
    ],
)
def test_invalid_input_is_rejected_and_changes_nothing(admin: Any, client_of: ClientOf, wrong: Any) -> None:
    answer = client_of(admin).post(URL, {"interval_minutes": "30", **wrong})

    assert answer.status_code == 422
    assert MailSettings.objects.get().interval_minutes == 60


def test_a_webhook_is_added_and_removed_and_both_recorded(admin: Any, client_of: ClientOf) -> None:
    browser = client_of(admin)
    browser.post(f"{URL}webhooks/", {"name": "SIEM", "url": "https://hooks.example.com/", "alerts": "on"})
    row = Webhook.objects.get()
    again = browser.post(f"{URL}webhooks/", {"name": "SIEM", "url": "https://other.example.com/"})
    browser.post(f"{URL}webhooks/{row.pk}/remove/")

    assert again.status_code == 422
    assert not Webhook.objects.exists()
    assert list(AuditEntry.objects.filter(object_type="webhook").order_by("pk").values_list("verb", flat=True)) == [
        "added",
        "removed",
    ]


@pytest.mark.django_db(transaction=True)
def test_of_concurrent_webhooks_of_one_name_one_is_added_and_the_others_are_rejected(
    admin: Any, client_of: ClientOf
) -> None:
    browsers = [client_of(admin) for _ in range(4)]
    values = {"name": "SIEM", "url": "https://hooks.example.com/"}

    answers = together(4, lambda place: browsers[place].post(f"{URL}webhooks/", values))

    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]
    refused = next(answer for answer in answers if answer.status_code == 422)
    assert "A webhook with this name already exists." in refused.content.decode()
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize("what", ["webhooks/9/remove/", "webhooks/9/test/", "deliveries/9/retry/"])
def test_an_unknown_object_is_not_found(admin: Any, client_of: ClientOf, what: str) -> None:
    assert client_of(admin).post(f"{URL}{what}").status_code == 404


def test_the_page_shows_a_missing_mail_server_and_no_test_is_sent(admin: Any, client_of: ClientOf) -> None:
    browser = client_of(admin)

    assert "EMAIL_HOST" in browser.get(URL).content.decode()
    browser.post(f"{URL}test/")
    assert not Notice.objects.exists()


def test_users_choose_their_mails(reader: Any, client_of: ClientOf) -> None:
    client_of(reader).post("/notifications/", {"mail_mentions": "on"})

    row = Preference.objects.get(user=reader)
    assert (row.mail_mentions, row.mail_assignments) == (True, False)


def test_the_bell_counts_the_user_s_own_unread_notices(reader: Any, operator: Any, client_of: ClientOf) -> None:
    notices.notify_user(reader, Kind.MENTION, "Look", "", "/")
    notices.notify_user(operator, Kind.MENTION, "Not yours", "", "/")
    browser = client_of(reader)

    assert "1 unread" in browser.get("/notifications/bell/").content.decode()
    assert "Not yours" not in browser.get("/notifications/").content.decode()
    browser.post("/notifications/read/")
    assert "unread" not in browser.get("/notifications/bell/").content.decode()
    assert Notice.objects.get(user=operator).read_at is None


def test_the_list_is_paged(reader: Any, client_of: ClientOf, django_assert_max_num_queries: Any) -> None:
    for number in range(60):
        notices.notify_user(reader, Kind.MENTION, f"Notice {number}", "", "/")
    browser = client_of(reader)
    with django_assert_max_num_queries(8):
        first = browser.get("/notifications/")
    older = browser.get("/notifications/", {"before": first.context["older"]})

    seen = [notice.title for answer in (first, older) for notice in answer.context["notices"]]
    assert seen == [f"Notice {number}" for number in reversed(range(60))]
