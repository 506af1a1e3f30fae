"""A forgotten password is reset by a link in a mail, and nothing reveals whether an account exists."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.actions.links import create_link
from accounts.actions.users import change_password, change_user
from accounts.models import ApiToken, AuditEntry, OneTimeLink, Session, User
from accounts.roles import Role
from accounts.tasks import mail_password_reset
from tests.conftest import PASSWORD
from tests.unit.accounts.factors import add_app, sign_in

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ASK = "/password/forgotten/"
NEW = "a-new-correct-horse"


@pytest.fixture(autouse=True)
def _mail_server(settings: Any) -> None:
    cache.clear()
    settings.EMAIL_HOST = "mail.example"
    settings.PUBLIC_URL = "https://drift.example"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that the worker would get."""
    found: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda task, args, **options: found.append(args[0]))
    return found


@pytest.fixture
def reader(reader: Any) -> Any:
    """A user who has proved that the address is theirs."""
    reader.verified_email = reader.email
    reader.save()
    return reader


def _link(user: Any) -> str:
    """Have the link mailed; returns its path."""
    mail_password_reset(user.email)
    found = re.search(r"https://drift\.example(/link/\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def _choose(browser: Client, path: str, password: str = NEW, **form: str) -> Any:
    page = browser.get(path)
    target = page["Location"] if page.status_code == 302 else path
    return browser.post(target, {"new_password": password, "again": password} | form)


def test_the_answer_is_the_same_whether_or_not_there_is_such_a_user(reader: Any, asked: list[str]) -> None:
    known, unknown = (
        re.sub(r'value="\w{64}"', "", Client().post(ASK, {"email": email}).content.decode())
        for email in (reader.email, "nobody@example.com")
    )
    assert re.sub(r'content="\w+"', "", known) == re.sub(r'content="\w+"', "", unknown)
    assert asked == [reader.email, "nobody@example.com"]  # the look-up itself is the worker's


def test_the_link_goes_to_the_stored_address_and_sets_a_new_password(reader: Any) -> None:
    mail_password_reset(reader.email.upper())
    assert mail.outbox[0].to == [reader.email]
    browser = Client()
    assert _choose(browser, _link(reader))["Location"] == "/sign-in/"
    reader.refresh_from_db()
    assert reader.check_password(NEW)
    assert AuditEntry.objects.filter(verb="chose a password by a one-time link").exists()


def test_a_link_works_once(reader: Any) -> None:
    path = _link(reader)
    _choose(Client(), path)
    assert "This link has ended" in Client().get(path).content.decode()


def test_a_link_ends_after_an_hour(reader: Any) -> None:
    path = _link(reader)
    link = OneTimeLink.objects.get()
    assert link.expires_at - timezone.now() <= dt.timedelta(hours=1)
    OneTimeLink.objects.update(expires_at=timezone.now())
    assert "This link has ended" in Client().get(path).content.decode()


@pytest.mark.parametrize("change", ["address", "state", "password"])
def test_a_link_ends_when_the_user_s_address_state_or_password_changes(reader: Any, owner: Any, change: str) -> None:
    path = _link(reader)
    if change == "address":
        change_user(owner, reader.pk, role=Role.READER, is_active=True, email="new@example.com")
    elif change == "state":
        User.objects.filter(pk=reader.pk).update(is_active=False)
    else:
        change_password(reader, NEW, session=None)
    assert "This link has ended" in Client().get(path).content.decode()


def test_an_address_that_changes_while_a_reset_is_prepared_gets_no_link(
    reader: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change_meanwhile(user: User) -> bool:
        change_user(owner, user.pk, role=Role.READER, is_active=True, email="new@example.com")
        mail.outbox.clear()
        return True

    monkeypatch.setattr("accounts.actions.password_reset.may_sign_in_locally", change_meanwhile)
    mail_password_reset(reader.email)
    assert mail.outbox == []
    assert not OneTimeLink.objects.exists()


@pytest.mark.parametrize("state", ["never verified", "changed"])
def test_a_reset_is_mailed_to_no_address_that_nobody_has_verified(reader: Any, owner: Any, state: str) -> None:
    if state == "changed":
        change_user(owner, reader.pk, role=Role.READER, is_active=True, email="mistyped@example.com")
    else:
        User.objects.filter(pk=reader.pk).update(verified_email="")
    mail.outbox.clear()
    mail_password_reset(User.objects.get(pk=reader.pk).email)
    assert mail.outbox == []


def test_whoever_requests_links_of_others_ends_no_link_that_they_have(reader: Any, owner: Any) -> None:
    given = create_link(owner, reader).removeprefix("https://drift.example")
    first, second = _link(reader), _link(reader)
    for path in (given, first, second):
        assert Client().get(path).status_code == 302
    _choose(Client(), second)
    for path in (given, first, second):
        assert Client().get(path).status_code == 410


def test_a_reset_revokes_api_tokens_if_asked(reader: Any, api_of: Callable[[Any], Client]) -> None:
    api_of(reader)
    _choose(Client(), _link(reader))
    assert ApiToken.objects.filter(revoked_at=None).exists()
    _choose(Client(), _link(reader), NEW + "2", revoke_tokens="on")
    assert not ApiToken.objects.filter(revoked_at=None).exists()


def test_a_reset_ends_all_sessions_and_signs_nobody_in(reader: Any, client_of: Callable[[Any], Client]) -> None:
    thief, browser = client_of(reader), Client()
    _choose(browser, _link(reader))
    assert not Session.objects.filter(user=reader).exists()
    assert "/sign-in/" in thief.get("/audit/")["Location"]
    assert "/sign-in/" in browser.get("/audit/")["Location"]


def test_a_password_that_was_reset_need_not_be_changed_once_more(reader: Any) -> None:
    User.objects.filter(pk=reader.pk).update(must_change_password=True)
    _choose(Client(), _link(reader))
    assert not User.objects.get(pk=reader.pk).must_change_password


def test_a_reset_is_no_way_around_the_second_factor(reader: Any) -> None:
    add_app(reader)
    _choose(Client(), _link(reader), PASSWORD + "2")
    reader.set_password(PASSWORD)
    reader.save()
    assert sign_in(reader)[1]["Location"] == "/sign-in/second-factor/"


def test_a_weak_password_is_rejected(reader: Any) -> None:
    response = _choose(Client(), _link(reader), "short")
    assert response.status_code == 422


def test_users_who_do_not_sign_in_by_password_get_no_mail(reader: Any, operator: Any, admin: Any, owner: Any) -> None:
    reader.is_active = False
    operator.set_unusable_password()
    for user in (reader, operator):
        user.verified_email = user.email
        user.save()
    for user in (reader, operator):
        mail_password_reset(user.email)
    mail_password_reset("nobody@example.com")
    assert mail.outbox == []


def test_a_linked_user_gets_no_mail_and_their_old_link_ends(reader: Any, settings: Any) -> None:
    from allauth.socialaccount.models import SocialAccount

    path = _link(reader)
    settings.OIDC_ISSUER = "https://issuer.example"
    SocialAccount.objects.create(user=reader, provider=settings.OIDC_ISSUER, uid="1")
    assert "This link has ended" in Client().get(path).content.decode()
    mail_password_reset(reader.email)
    assert len(mail.outbox) == 1


def test_a_mailbox_is_not_filled_and_the_answer_stays_the_same(reader: Any, asked: list[str]) -> None:
    for _ in range(5):
        assert "Check your mail" in Client().post(ASK, {"email": reader.email}).content.decode()
    assert len(asked) == 3


def test_one_client_cannot_mail_everybody(asked: list[str]) -> None:
    for number in range(25):
        Client().post(ASK, {"email": f"u{number}@example.com"})
    assert len(asked) == 20


def test_without_a_mail_server_the_page_says_whom_to_ask(settings: Any, asked: list[str]) -> None:
    settings.EMAIL_HOST = ""
    assert "Ask an Owner" in Client().get(ASK).content.decode()
    Client().post(ASK, {"email": "reader@example.com"})
    assert asked == []


def test_a_broker_that_is_away_costs_no_error(monkeypatch: pytest.MonkeyPatch, reader: Any) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise OSError

    monkeypatch.setattr(current_app, "send_task", fail)
    assert Client().post(ASK, {"email": reader.email}).status_code == 200
