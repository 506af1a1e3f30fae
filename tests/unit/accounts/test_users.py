"""Owners manage users and service accounts; one Owner who can sign in always stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core import mail
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actions.links import create_link, create_requested_link, use_link
from accounts.actions.users import change_user, create_service_account, invite_user
from accounts.errors import LastOwnerError, LinkRefused
from accounts.models import ApiToken, AuditEntry, OneTimeLink, User
from accounts.roles import Role
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.services, pytest.mark.django_db]
NEW = "a passphrase of my own"
Browsers = Callable[[Any], Client]


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def _invite(browser: Client, **form: str) -> Any:
    return browser.post(reverse("accounts:users"), {"email": "new@example.com", "name": "New", "role": "reader"} | form)


def _choose(url: str, password: str = NEW, browser: Client | None = None) -> Any:
    """Open a link and choose a password."""
    browser = browser or Client()
    opened = browser.get(url.removeprefix("http://127.0.0.1:8000"))
    if opened.status_code != 302:
        return opened
    return browser.post(opened["Location"], {"new_password": password, "again": password})


def _signs_in(email: str, password: str) -> bool:
    browser = Client()
    browser.post("/sign-in/", {"username": email, "password": password})
    return bool(browser.get("/tokens/").status_code == 200)


def test_an_invitation_is_sent_and_the_invited_user_chooses_a_password(
    owner: Any, client_of: Browsers, settings: Any
) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    page = _invite(client_of(owner))
    assert "A link was sent to new@example.com" in page.content.decode()
    (message,) = mail.outbox
    url = next(line for line in message.body.splitlines() if "/link/" in line)
    assert message.to == ["new@example.com"] and url not in page.content.decode()
    assert not _signs_in("new@example.com", "")
    assert _choose(url)["Location"] == "/sign-in/"
    assert _signs_in("new@example.com", NEW)
    assert AuditEntry.objects.filter(verb="chose a password by a one-time link").count() == 1


def test_without_a_mail_server_or_on_request_the_link_is_shown_once(owner: Any, client_of: Browsers) -> None:
    browser = client_of(owner)
    page = _invite(browser)
    assert "could not be sent" in page.content.decode()
    url = page.context["link_url"]
    assert url in page.content.decode() and url not in browser.get(reverse("accounts:users")).content.decode()
    shown = _invite(browser, email="other@example.com", show_link="on")
    assert "could not be sent" not in shown.content.decode() and "/link/" in shown.context["link_url"]
    assert not mail.outbox


def test_a_link_works_once_and_opening_it_does_not_use_it(owner: Any) -> None:
    _, url = invite_user(owner, email="new@example.com", name="New", role=Role.READER)
    for _ in range(3):
        assert Client().get(url.removeprefix("http://127.0.0.1:8000")).status_code == 302
    early = Client()
    early.get(url.removeprefix("http://127.0.0.1:8000"))
    assert _choose(url).status_code == 302
    assert _choose(url, "a thief's passphrase").status_code == 410
    form = {"new_password": "a thief's passphrase", "again": "a thief's passphrase"}
    assert early.post(reverse("accounts:link-password"), form).status_code == 410
    assert _signs_in("new@example.com", NEW)


def test_the_link_is_not_stored_nor_logged_in_the_audit(owner: Any) -> None:
    _, url = invite_user(owner, email="new@example.com", name="New", role=Role.READER)
    secret = url.rsplit("_", 1)[1]
    with connection.cursor() as cursor:
        cursor.execute("SELECT l::text FROM accounts_onetimelink l UNION ALL SELECT a::text FROM accounts_auditentry a")
        assert not any(secret in row for (row,) in cursor.fetchall())


@pytest.mark.parametrize("end", ["expired", "revoked", "replaced", "deactivated", "reactivated", "new address"])
def test_a_link_that_has_ended_does_not_work(end: str, owner: Any, client_of: Browsers) -> None:
    user, url = invite_user(owner, email="new@example.com", name="New", role=Role.READER)
    browser = client_of(owner)
    if end == "expired":
        OneTimeLink.objects.update(expires_at=timezone.now())
    elif end == "revoked":
        assert browser.post(reverse("accounts:user-link-revoke", args=[user.pk])).status_code == 302
    elif end == "replaced":
        fresh = browser.post(reverse("accounts:user-link", args=[user.pk]), {"show_link": "1"}).context["link_url"]
        assert fresh != url
    elif end == "new address":
        change_user(owner, user.pk, role=Role.READER, is_active=True, email="right@example.com")
    else:
        User.objects.filter(pk=user.pk).update(is_active=False)
        if end == "reactivated":
            User.objects.filter(pk=user.pk).update(is_active=True)
    assert _choose(url).status_code == 410


def test_a_browser_in_which_a_replaced_link_is_open_chooses_no_password(owner: Any) -> None:
    user, url = invite_user(owner, email="new@example.com", name="New", role=Role.READER)
    early = Client()
    opened = early.get(url.removeprefix("http://127.0.0.1:8000"))
    create_link(owner, user)
    form = {"new_password": "a thief's passphrase", "again": "a thief's passphrase"}
    assert early.post(opened["Location"], form).status_code == 410
    assert not _signs_in("new@example.com", "a thief's passphrase")


@pytest.mark.django_db(transaction=True)
def test_of_two_links_of_a_user_that_are_used_at_once_one_sets_the_password(reader: Any) -> None:
    create_requested_link(reader)
    create_requested_link(reader)
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def use(link_id: int) -> None:
        try:
            together.wait()
            use_link(link_id, NEW)
            outcomes.append("used")
        except (LinkRefused, OperationalError) as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=use, args=(link.pk,)) for link in OneTimeLink.objects.all()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["LinkRefused", "used"]


@pytest.mark.parametrize("token", ["x", "dwl_a_b", "dwp_a_b", "\xff", "a" * 3000, "dwl_\x00_b"])
def test_an_invented_link_is_refused_with_a_page(token: str) -> None:
    assert Client().get(reverse("accounts:link", args=[token])).status_code == 410


def test_a_weak_password_is_refused_and_the_link_stays(owner: Any) -> None:
    _, url = invite_user(owner, email="new@example.com", name="New", role=Role.READER)
    assert _choose(url, "short").status_code == 422
    assert _choose(url).status_code == 302


def test_a_reset_ends_the_user_s_sessions_and_keeps_the_old_password_until_then(
    owner: Any, reader: Any, client_of: Browsers
) -> None:
    theirs = client_of(reader)
    page = client_of(owner).post(reverse("accounts:user-link", args=[reader.pk]), {"show_link": "1"})
    assert _signs_in(reader.email, PASSWORD)
    _choose(page.context["link_url"])
    assert theirs.get("/tokens/").status_code == 302
    assert _signs_in(reader.email, NEW) and not _signs_in(reader.email, PASSWORD)


def test_opening_a_link_ends_the_session_that_the_browser_had(owner: Any, reader: Any, client_of: Browsers) -> None:
    _, url = invite_user(owner, email="new@example.com", name="New", role=Role.READER)
    browser = client_of(reader)
    _choose(url, browser=browser)
    assert browser.get("/tokens/").status_code == 302


def test_the_same_email_in_another_case_is_rejected(owner: Any, reader: Any, client_of: Browsers) -> None:
    browser = client_of(owner)
    assert _invite(browser, email="OWNER@example.com").status_code == 422
    change = {"email": "Owner@Example.com", "name": "R", "role": "reader", "is_active": "on"}
    assert browser.post(reverse("accounts:user", args=[reader.pk]), change).status_code == 422
    assert _invite(browser, email="x@service.invalid").status_code == 422
    assert User.objects.count() == 2


def test_an_owner_edits_address_and_name(owner: Any, reader: Any, client_of: Browsers) -> None:
    form = {"email": "renamed@example.com", "name": "Renamed", "role": "reader", "is_active": "on"}
    assert client_of(owner).post(reverse("accounts:user", args=[reader.pk]), form).status_code == 302
    reader.refresh_from_db()
    assert (reader.email, reader.name) == ("renamed@example.com", "Renamed")
    entry = AuditEntry.objects.get(verb="changed")
    assert entry.before and entry.before["email"] == "reader@example.com"


def test_a_changed_role_applies_at_once_and_is_audited(owner: Any, reader: Any, client_of: Browsers) -> None:
    client_of(owner).post(reverse("accounts:user", args=[reader.pk]), {"role": "admin", "is_active": "on"})
    reader.refresh_from_db()
    assert reader.can_edit_policy
    entry = AuditEntry.objects.get(verb="changed")
    assert entry.before and entry.after
    assert (entry.before["role"], entry.after["role"]) == ("reader", "admin")


def test_an_owner_ends_sessions_and_tokens_of_a_user(
    owner: Any, reader: Any, client_of: Browsers, api_of: Callable[..., Client]
) -> None:
    theirs, api = client_of(reader), api_of(reader)
    browser = client_of(owner)
    browser.post(reverse("accounts:user-end", args=[reader.pk]))
    assert theirs.get("/tokens/").status_code == 302 and api.get("/api/v1/policy/versions/").status_code == 200
    browser.post(reverse("accounts:user-end", args=[reader.pk]), {"tokens": "on"})
    assert api.get("/api/v1/policy/versions/").status_code == 401
    assert browser.get("/users/").status_code == 200


# ---- The last Owner


def test_the_last_owner_cannot_be_demoted_or_closed(owner: Any, client_of: Browsers) -> None:
    for form in ({"role": "reader", "is_active": "on"}, {"role": "owner"}):
        response = client_of(owner).post(reverse("accounts:user", args=[owner.pk]), form)
        assert response.status_code == 422 and "must be able to sign in" in response.content.decode()
    owner.refresh_from_db()
    assert owner.role == Role.OWNER and owner.is_active


def test_an_invited_owner_does_not_count_until_they_have_a_password(owner: Any) -> None:
    other, url = invite_user(owner, email="other@example.com", name="Other", role=Role.OWNER)
    with pytest.raises(LastOwnerError):
        change_user(owner, owner.pk, role=Role.READER, is_active=True)
    _choose(url)
    change_user(other, owner.pk, role=Role.READER, is_active=True)
    assert User.objects.get(role=Role.OWNER) == other


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_demote_each_other_at_once_leave_one(owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = User.objects.create_user("other@example.com", "Other", Role.OWNER, PASSWORD)
    start, checked = threading.Barrier(2), threading.Barrier(2, timeout=0.5)

    def wait(*_: Any, **__: Any) -> None:
        """Before its end, give the other change the time to get as far, if nothing keeps it out."""
        with suppress(threading.BrokenBarrierError):
            checked.wait()

    monkeypatch.setattr("accounts.actions.users.audit.record", wait)

    def demote(actor: User, target: User) -> None:
        start.wait()
        try:
            change_user(actor, target.pk, role=Role.READER, is_active=True)
        except (LastOwnerError, PermissionDenied):
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=demote, args=pair) for pair in ((owner, other), (other, owner))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert User.objects.filter(role=Role.OWNER).count() == 1


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": Role.READER}, {"is_scoped": True}])
def test_an_owner_who_lost_that_while_their_change_waited_changes_nothing(
    change: dict[str, Any], owner: Any, reader: Any
) -> None:
    """Their request was authenticated before, and waits for the change that ends it."""
    other = User.objects.create_user("other@example.com", "Other", Role.OWNER, PASSWORD)
    User.objects.filter(pk=other.pk).update(**change)
    with pytest.raises(PermissionDenied):
        change_user(other, reader.pk, role=Role.OWNER, is_active=True)
    reader.refresh_from_db()
    assert reader.role == Role.READER


# ---- Service accounts


def test_a_service_account_has_tokens_of_owners_and_nothing_to_sign_in_with(owner: Any, client_of: Browsers) -> None:
    browser = client_of(owner)
    browser.post(reverse("accounts:service-account-add"), {"name": "ci-pipeline", "role": "operator"})
    account = User.objects.get(is_service=True)
    form = {"name": "ci", "scopes": ["read", "propose"], "days": "30"}
    created = browser.post(reverse("accounts:user-token-add", args=[account.pk]), form).context["created"]
    api = Client(headers={"Authorization": f"Bearer {created}"})
    assert api.get("/api/v1/policy/versions/").status_code == 200
    assert ApiToken.objects.get().created_by == owner
    assert authenticate(username=account.email, password="") is None
    assert browser.post(reverse("accounts:user-link", args=[account.pk])).status_code == 302
    assert not OneTimeLink.objects.exists()
    change_user(owner, account.pk, role=Role.OPERATOR, is_active=False)
    assert api.get("/api/v1/policy/versions/").status_code == 401


def test_a_service_account_cannot_become_owner_nor_get_a_password(owner: Any, client_of: Browsers) -> None:
    account = create_service_account(owner, name="ci", role=Role.ADMIN)
    browser = client_of(owner)
    form = {"role": "owner", "is_active": "on", "name": "ci"}
    assert browser.post(reverse("accounts:user", args=[account.pk]), form).status_code == 422
    assert browser.post(reverse("accounts:service-account-add"), {"name": "x", "role": "owner"}).status_code == 422
    for change in ({"role": "owner"}, {"password": "pbkdf2$x"}, {"email": "person@example.com"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.filter(pk=account.pk).update(**change)


def test_a_session_of_a_service_account_is_refused(owner: Any) -> None:
    account = create_service_account(owner, name="ci", role=Role.ADMIN)
    browser = Client()
    browser.force_login(account)
    assert browser.get("/tokens/").status_code == 302


@pytest.mark.parametrize("name", ["", "CI", "a b", "-a", "a-", "a" * 65, "a@b", "é", "a\n"])
def test_a_service_account_s_name_is_of_letters_digits_and_hyphens(name: str, owner: Any, client_of: Browsers) -> None:
    form = {"name": name, "role": "reader"}
    response = client_of(owner).post(reverse("accounts:service-account-add"), form)
    assert response.status_code == (302 if name == "a\n" else 422)  # a form strips white space


def test_only_owners_create_tokens_of_service_accounts_and_nobody_those_of_a_person(
    owner: Any, admin: Any, reader: Any, client_of: Browsers
) -> None:
    account = create_service_account(owner, name="ci", role=Role.READER)
    form = {"name": "ci", "scopes": ["read"], "days": "30"}
    assert client_of(admin).post(reverse("accounts:user-token-add", args=[account.pk]), form).status_code == 403
    assert client_of(owner).post(reverse("accounts:user-token-add", args=[reader.pk]), form).status_code == 404
    assert not ApiToken.objects.exists()


# ---- Commands


def test_createsuperuser_makes_an_owner_without_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NEW)
    call_command("createsuperuser", interactive=False, email="first@example.com", name="First", verbosity=0)
    assert User.objects.get().role == Role.OWNER
    assert AuditEntry.objects.get(verb="created").object_name == "first@example.com"
    assert _signs_in("first@example.com", NEW)


def test_the_first_owner_is_made_by_a_one_time_link(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("owner_link", "first@example.com", name="First")
    _choose(capsys.readouterr().out.strip())
    assert User.objects.get().role == Role.OWNER and _signs_in("first@example.com", NEW)
    call_command("owner_link", "FIRST@example.com")
    _choose(capsys.readouterr().out.strip(), "the second passphrase")
    assert User.objects.count() == 1 and _signs_in("first@example.com", "the second passphrase")


def test_the_command_makes_nobody_else_an_owner(reader: Any) -> None:
    for email in (reader.email, "not an address"):
        with pytest.raises(CommandError):
            call_command("owner_link", email)
    reader.refresh_from_db()
    assert reader.role == Role.READER
