"""Mails to users, over SMTP to a real server: an invitation, a forgotten password, and what they are notified of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.cache import cache
from playwright.sync_api import Browser, Page, expect

from accounts import tasks
from accounts.actions.links import create_link, send_link
from accounts.models import User
from accounts.roles import Role
from drift.notify.actions.deliveries import send_due
from tests.mail_server import MailServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
FIRST, SECOND = "a first long passphrase", "a second long passphrase"


@pytest.fixture
def server(tmp_path: Path, settings: Any, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    cache.clear()
    one = MailServer(tmp_path / "mail")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", one.port, False
    settings.PUBLIC_URL = live_server.url
    work = {"accounts.mail_password_reset": tasks.mail_password_reset}
    monkeypatch.setattr(current_app, "send_task", lambda name, args=(), **options: work[name](*args))
    one.start()
    yield one
    one.stop()


@pytest.fixture
def visitor(browser: Browser, live_server: Any) -> Iterator[Page]:
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1400, "height": 900})
    yield context.new_page()
    context.close()


def _mailed_link(message: Any) -> str:
    found = re.search(r"https?://\S+/link/\S+", message.get_content())
    assert found
    return found[0]


def _choose(page: Page, password: str) -> None:
    page.locator("[name=new_password]").fill(password)
    page.get_by_label("Confirm new password").fill(password)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_text("Password set.")).to_be_visible()


def _sign_in(page: Page, password: str) -> None:
    page.goto("/sign-in/")
    page.get_by_label("Email").fill("new@example.com")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_an_invited_user_forgets_the_password_and_resets_it_by_mail(
    server: MailServer, visitor: Page, owner: User
) -> None:
    person = User.objects.create_user("new@example.com", "New", Role.READER)
    assert send_link(person, create_link(owner, person))
    (invitation,) = server.messages()
    visitor.goto(_mailed_link(invitation))
    _choose(visitor, FIRST)

    visitor.goto("/sign-in/")
    visitor.get_by_role("link", name="Forgotten password?").click()
    visitor.get_by_label("Email").fill("NEW@example.com")
    visitor.get_by_role("button", name="Send link").click()
    expect(visitor.get_by_role("heading", name="Check your mail")).to_be_visible()
    reset = next(each for each in server.messages() if each["Subject"] == "[Driftwatch] Reset your password")
    assert reset["To"] == "new@example.com"
    visitor.goto(_mailed_link(reset))
    assert "/link/dw" not in visitor.url  # neither logs nor the history of the page keep the secret
    _choose(visitor, SECOND)
    visitor.goto(_mailed_link(reset))
    expect(visitor.get_by_role("heading", name="This link has ended")).to_be_visible()

    _sign_in(visitor, FIRST)
    expect(visitor.get_by_text("Email or password is wrong.")).to_be_visible()
    _sign_in(visitor, SECOND)
    expect(visitor.locator("details.menu.right")).to_be_visible()
    send_due()
    assert "[Driftwatch] Your password was reset by a link" in {each["Subject"] for each in server.messages()}


def test_a_user_verifies_their_address_by_mail(server: MailServer, visitor: Page) -> None:
    User.objects.create_user("new@example.com", "New", Role.READER, FIRST)
    _sign_in(visitor, FIRST)
    visitor.goto("/password/")
    visitor.get_by_role("button", name="Send a link to verify it").click()
    expect(visitor.get_by_text("A link was sent to new@example.com.")).to_be_visible()
    (message,) = server.messages()
    found = re.search(r"https?://\S+/email/verify/\S+", message.get_content())
    assert found
    visitor.goto(found[0])
    visitor.get_by_role("button", name="Verify", exact=True).click()
    expect(visitor.get_by_text("new@example.com is verified.")).to_be_visible()
    assert User.objects.get().is_email_verified
