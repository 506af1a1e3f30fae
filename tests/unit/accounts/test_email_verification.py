"""An address counts as the user's once they have proved it, and they hear of changes to their account."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.actions.links import create_link, send_link
from accounts.actions.second_factor import reset_second_factor
from accounts.actions.users import change_password, change_user, invite_user
from accounts.models import User
from accounts.roles import Role
from drift.notify.models import Kind, Notice, NoticeDelivery
from tests.unit.accounts.factors import add_app
from tests.unit.accounts.fake_issuer import FakeIssuer

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Browsers = Callable[[Any], Client]
NEW = "a passphrase of my own"


@pytest.fixture(autouse=True)
def _mail_server(settings: Any) -> None:
    cache.clear()
    settings.EMAIL_HOST = "mail.example"
    settings.PUBLIC_URL = "https://drift.example"


def _is_verified(user: Any) -> bool:
    return User.objects.get(pk=user.pk).is_email_verified


def _mailed_path() -> str:
    found = re.search(r"https://drift\.example(/\S+)\n", str(mail.outbox[-1].body))
    assert found
    return found[1]


def _choose(path: str) -> None:
    browser = Client()
    target = browser.get(path)["Location"]
    assert browser.post(target, {"new_password": NEW, "again": NEW}).status_code == 302


@pytest.mark.parametrize("is_mailed", [True, False])
def test_an_invitation_verifies_the_address_that_it_was_mailed_to(owner: Any, is_mailed: bool) -> None:
    person, url = invite_user(owner, email="new@example.com", name="New", role=Role.READER)
    if is_mailed:
        send_link(person, url)
    assert not _is_verified(person)
    _choose(url.removeprefix("https://drift.example"))
    assert _is_verified(person) is is_mailed


def test_a_link_is_mailed_to_the_present_address_and_not_once_a_change_of_it_ended_the_link(owner: Any) -> None:
    person, ended = invite_user(owner, email="old@example.com", name="New", role=Role.READER)
    change_user(owner, person.pk, role=Role.READER, is_active=True, email="new@example.com")
    mail.outbox.clear()
    assert not send_link(person, ended)
    assert mail.outbox == []
    assert send_link(person, create_link(owner, person))
    assert mail.outbox[-1].to == ["new@example.com"]


def test_a_shown_link_after_a_mailed_one_verifies_nothing(owner: Any) -> None:
    person, url = invite_user(owner, email="new@example.com", name="New", role=Role.READER)
    send_link(person, url)
    _choose(create_link(owner, person).removeprefix("https://drift.example"))
    assert not _is_verified(person)


def test_a_user_verifies_their_address_by_a_mail_and_opening_is_not_enough(reader: Any, client_of: Browsers) -> None:
    browser = client_of(reader)
    assert "is not verified" in browser.get("/password/").content.decode()
    browser.post(reverse("accounts:email-send"))
    path = _mailed_path()
    assert browser.get(path).status_code == 200
    assert not _is_verified(reader)
    browser.post(path)
    assert _is_verified(reader)
    assert "is verified" in browser.get("/password/").content.decode()


@pytest.mark.parametrize("who", ["nobody", "another user", "after a change"])
def test_whoever_has_a_mistyped_address_verifies_nothing(
    reader: Any, operator: Any, owner: Any, client_of: Browsers, who: str
) -> None:
    client_of(reader).post(reverse("accounts:email-send"))
    path = _mailed_path()
    browser = {"nobody": Client(), "another user": client_of(operator)}.get(who) or client_of(reader)
    if who == "after a change":
        change_user(owner, reader.pk, role=Role.READER, is_active=True, email="other@example.com")
    assert browser.post(path).status_code == (302 if who == "nobody" else 410)
    assert not _is_verified(reader)
    assert not _is_verified(operator)


@pytest.mark.parametrize("token", ["x", "WzEsImEiXQ:1:a", "a" * 3000])
def test_a_made_up_link_verifies_nothing(reader: Any, client_of: Browsers, token: str) -> None:
    assert client_of(reader).post(reverse("accounts:email-verify", args=[token])).status_code == 410
    assert not _is_verified(reader)


def test_a_changed_address_is_unverified_and_gets_a_mail(owner: Any, reader: Any, client_of: Browsers) -> None:
    User.objects.filter(pk=reader.pk).update(verified_email=reader.email)
    form = {"email": "new@example.com", "name": reader.name, "role": "reader", "is_active": "on"}
    browser = client_of(owner)
    page = browser.post(reverse("accounts:user", args=[reader.pk]), form, follow=True).content.decode()
    assert "A link to verify it was sent." in page
    assert "Not verified" in page
    assert mail.outbox[-1].to == ["new@example.com"]


def test_an_address_is_mailed_three_times_an_hour_at_most(owner: Any, reader: Any, client_of: Browsers) -> None:
    browser = client_of(owner)
    for _ in range(5):
        browser.post(reverse("accounts:user-email-send", args=[reader.pk]))
    assert [message.to for message in mail.outbox] == [[reader.email]] * 3


def test_the_issuer_verifies_the_address_that_it_names(issuer: FakeIssuer, settings: Any) -> None:
    issuer.sign_in(Client())
    assert User.objects.get().is_email_verified


# ---- What users hear of


def _notices(user: Any) -> list[str]:
    return list(Notice.objects.filter(user=user, kind=Kind.ACCOUNT).order_by("pk").values_list("title", flat=True))


def test_users_are_mailed_about_changes_to_what_they_sign_in_with(owner: Any, reader: Any) -> None:
    change_password(reader, NEW, session=None)
    add_app(reader)
    reset_second_factor(owner, reader)
    _choose(create_link(owner, reader).removeprefix("https://drift.example"))
    assert _notices(reader) == [
        "Your password was changed",
        "An authenticator app was added",
        "An authenticator app was removed",
        "Your password was reset by a link",
    ]
    assert set(NoticeDelivery.objects.values_list("address", flat=True)) == {reader.email}


def test_a_changed_address_is_told_to_the_old_one_too(owner: Any, reader: Any) -> None:
    old = reader.email
    change_user(owner, reader.pk, role=Role.READER, is_active=True, email="new@example.com")
    assert set(NoticeDelivery.objects.values_list("address", flat=True)) == {old, "new@example.com"}


def test_an_invited_user_who_chooses_their_first_password_is_not_warned(owner: Any) -> None:
    person, url = invite_user(owner, email="new@example.com", name="New", role=Role.READER)
    _choose(url.removeprefix("https://drift.example"))
    assert _notices(person) == []


def test_without_a_mail_server_the_notices_are_still_on_their_page(
    reader: Any, settings: Any, client_of: Browsers
) -> None:
    settings.EMAIL_HOST = ""
    change_password(reader, NEW, session=None)
    assert not NoticeDelivery.objects.exists()
    assert "Your password was changed" in client_of(reader).get(reverse("notify:inbox")).content.decode()
