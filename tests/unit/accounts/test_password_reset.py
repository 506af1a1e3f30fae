"""A forgotten password is reset by a link in a mail, and nothing reveals whether an account exists."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.core import mail
from django.core.cache import cache
from django.test import Client

from accounts.models import AuditEntry
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


def _link(user: Any) -> str:
    """Have the link mailed; returns its path."""
    mail_password_reset(user.email)
    found = re.search(r"https://drift\.example(/password/reset/\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def _choose(browser: Client, path: str, password: str = NEW) -> Any:
    page = browser.get(path)
    target = page["Location"] if page.status_code == 302 else path
    return browser.post(target, {"new_password1": password, "new_password2": password})


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
    assert AuditEntry.objects.filter(verb="changed password of").exists()


def test_a_link_works_once(reader: Any) -> None:
    path = _link(reader)
    _choose(Client(), path)
    assert "This link has ended" in Client().get(path).content.decode()


def test_a_link_ends_after_an_hour(reader: Any, settings: Any) -> None:
    path = _link(reader)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "This link has ended" in Client().get(path).content.decode()


@pytest.mark.parametrize("change", [{"email": "new@example.com"}, {"is_active": False}])
def test_a_link_ends_when_the_user_s_address_or_state_changes(reader: Any, change: dict[str, Any]) -> None:
    path = _link(reader)
    for name, value in change.items():
        setattr(reader, name, value)
    reader.save()
    assert "This link has ended" in Client().get(path).content.decode()


def test_a_reset_ends_all_sessions_and_signs_nobody_in(reader: Any, client_of: Callable[[Any], Client]) -> None:
    thief, browser = client_of(reader), Client()
    _choose(browser, _link(reader))
    assert "/sign-in/" in thief.get("/audit/")["Location"]
    assert "/sign-in/" in browser.get("/audit/")["Location"]


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


@pytest.mark.parametrize("key", ["none", "MQ", "%00", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "w6k"])
def test_a_made_up_link_has_ended(key: str) -> None:
    assert "This link has ended" in Client().get(f"/password/reset/{key}/c1-abc/").content.decode()
