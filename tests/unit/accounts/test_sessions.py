"""Sessions: stored by digest, ended by time, idleness and people."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actions import users
from accounts.actions.session_store import SessionStore
from accounts.device_names import device_name
from accounts.models import AuditEntry, Session, User
from accounts.models.sessions import key_digest
from accounts.roles import Role
from portal.celery import BEAT_SCHEDULE, app
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.services, pytest.mark.django_db]
TASK = "accounts.delete_expired_sessions"
PAGE = "/tokens/"
Browsers = Callable[[Any], Client]


def _back(**by: float) -> None:
    """Make all sessions as old, and as long idle, as given in minutes: began=, seen=."""
    now = timezone.now()
    if "began" in by:
        began = now - dt.timedelta(minutes=by["began"])
        Session.objects.update(created_at=began, expires_at=began + dt.timedelta(hours=12))
    if "seen" in by:
        Session.objects.update(last_seen_at=now - dt.timedelta(minutes=by["seen"]))


def _seen() -> dt.datetime:
    return Session.objects.get().last_seen_at


def _is_signed_in(browser: Client) -> bool:
    return bool(browser.get(PAGE).status_code == 200)


def test_a_read_of_the_database_yields_no_live_session(reader: Any, client_of: Browsers) -> None:
    key = client_of(reader).cookies["sessionid"].value
    with connection.cursor() as cursor:
        cursor.execute("SELECT s::text FROM accounts_session s")
        stored = cursor.fetchone()[0]
    assert key not in stored
    for stolen in (stored, Session.objects.get().digest.hex(), key_digest(key).hex()):
        thief = Client()
        thief.cookies["sessionid"] = stolen[:4000]
        assert not _is_signed_in(thief)


@pytest.mark.parametrize("key", ["", "x", "a" * 32, "\xff" * 40, "a" * 5000, "null\x00key1", "' OR 1=1 --"])
def test_an_invented_key_is_never_adopted(reader: Any, key: str) -> None:
    browser = Client()
    browser.cookies["sessionid"] = key
    browser.post("/sign-in/", {"username": reader.email, "password": PASSWORD})
    assert browser.cookies["sessionid"].value != key
    assert _is_signed_in(browser)


def test_signing_in_changes_the_key_and_ends_the_old_one(reader: Any) -> None:
    before = SessionStore()
    before["note"] = "kept"
    before.save()
    browser = Client()
    browser.cookies["sessionid"] = before.session_key or ""
    browser.force_login(reader)
    after = SessionStore(browser.cookies["sessionid"].value)
    assert after["note"] == "kept"
    assert SessionStore(before.session_key).load() == {}


def test_flush_leaves_nothing() -> None:
    store = SessionStore()
    store["a"] = 1
    store.save()
    store.flush()
    assert (Session.objects.count(), store.session_key, dict(store.items())) == (0, None, {})


def test_a_session_that_was_ended_meanwhile_does_not_come_back() -> None:
    store = SessionStore()
    store["a"] = 1
    store.save()
    late = SessionStore(store.session_key)
    late["b"] = 2
    store.flush()
    with pytest.raises(UpdateError):
        late.save()
    assert Session.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_of_saves_and_an_end_at_the_same_time_the_end_wins(reader: Any, client_of: Browsers) -> None:
    key = client_of(reader).cookies["sessionid"].value
    start = threading.Barrier(6)

    def save() -> None:
        store = SessionStore(key)
        store["n"] = 1
        start.wait()
        try:
            store.save()
        except UpdateError:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=save) for _ in range(5)]
    for thread in threads:
        thread.start()
    start.wait()
    SessionStore(key).delete()
    for thread in threads:
        thread.join()
    assert Session.objects.count() == 0


def test_a_session_ends_after_its_longest_lifetime_however_active(reader: Any, client_of: Browsers) -> None:
    browser = client_of(reader)
    _back(began=12 * 60 - 5)
    assert _is_signed_in(browser)
    store = SessionStore(browser.cookies["sessionid"].value)
    store["more"] = 1
    store.save()
    assert Session.objects.get().expires_at <= timezone.now() + dt.timedelta(minutes=5)
    _back(began=12 * 60)
    assert not _is_signed_in(browser)


def test_a_session_ends_when_idle(reader: Any, client_of: Browsers) -> None:
    browser = client_of(reader)
    _back(seen=59)
    assert _is_signed_in(browser)
    assert timezone.now() - _seen() < dt.timedelta(minutes=1), "a page counts as activity"
    _back(seen=60)
    assert not _is_signed_in(browser)


def test_without_an_idle_limit_only_the_longest_lifetime_counts(
    reader: Any, client_of: Browsers, settings: Any
) -> None:
    settings.SESSION_IDLE_SECONDS = 0
    browser = client_of(reader)
    _back(seen=11 * 60)
    assert _is_signed_in(browser)


def test_what_a_page_requests_by_itself_does_not_keep_a_session_alive(reader: Any, client_of: Browsers) -> None:
    browser = client_of(reader)
    _back(seen=30)
    for path in ("/notifications/bell/", reverse("fleet:delivery-line"), reverse("accounts:session")):
        assert browser.get(path, headers={"X-Poll": "1"}).status_code == 200
    assert timezone.now() - _seen() > dt.timedelta(minutes=29)


def test_the_page_s_script_learns_how_long_the_session_lasts_and_can_prolong_it(
    reader: Any, client_of: Browsers
) -> None:
    browser = client_of(reader)
    _back(seen=58)
    state = browser.get(reverse("accounts:session"), headers={"X-Poll": "1"}).json()
    assert state["user"] == reader.pk and 100 < state["idle"] <= 120 and state["end"] > 11 * 3600
    assert browser.post(reverse("accounts:session")).json()["idle"] > 3500
    assert Client().get(reverse("accounts:session")).json() == {"user": None}


def test_a_user_sees_their_sessions_in_words_and_ends_one_or_all_others(reader: Any, operator: Any) -> None:
    agents = {
        "here": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
        "there": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1",
        "third": "odd",
    }
    browsers = {name: Client(headers={"User-Agent": agent}, REMOTE_ADDR="192.0.2.9") for name, agent in agents.items()}
    for browser in browsers.values():
        browser.post("/sign-in/", {"username": reader.email, "password": PASSWORD})
    here = browsers["here"]
    page = here.get(reverse("accounts:sessions"))
    assert [(each.device, each.is_current) for each in page.context["sessions"]] == [
        ("Firefox on Linux", True),
        ("Unknown device", False),
        ("Safari on iPhone", False),
    ]
    assert "192.0.2.9" in page.content.decode()
    phone = page.context["sessions"][2].session
    assert here.post(reverse("accounts:session-end", args=[phone.pk])).status_code == 302
    assert [_is_signed_in(browser) for browser in browsers.values()] == [True, False, True]
    here.post(reverse("accounts:sessions-end"))
    assert [_is_signed_in(browser) for browser in browsers.values()] == [True, False, False]
    assert AuditEntry.objects.filter(verb__startswith="ended").count() == 2


def test_a_user_cannot_end_another_s_session_and_an_owner_can(
    reader: Any, admin: Any, owner: Any, client_of: Browsers
) -> None:
    browser = client_of(reader)
    url = reverse("accounts:session-end", args=[Session.objects.get().pk])
    assert client_of(admin).post(url).status_code == 404
    assert _is_signed_in(browser)
    assert client_of(owner).post(url).status_code == 302
    assert not _is_signed_in(browser)


@pytest.mark.parametrize("way", ["action", "update"])
def test_deactivation_ends_sessions_at_once_and_reactivation_does_not_revive_them(
    reader: Any, owner: Any, client_of: Browsers, way: str
) -> None:
    browser = client_of(reader)
    if way == "action":
        users.change_user(owner, reader.pk, role=Role.READER, is_active=False)
    else:
        User.objects.filter(pk=reader.pk).update(is_active=False)
    assert not _is_signed_in(browser)
    User.objects.filter(pk=reader.pk).update(is_active=True)
    assert not _is_signed_in(browser)


def test_a_changed_password_ends_the_other_sessions_and_keeps_this_one(reader: Any, client_of: Browsers) -> None:
    here, there = client_of(reader), client_of(reader)
    new = "another passphrase"
    form = {"old_password": PASSWORD, "new_password": new, "again": new}
    assert here.post(reverse("accounts:password"), form).status_code == 302
    assert _is_signed_in(here) and not _is_signed_in(there)
    assert Session.objects.count() == 1


def test_a_changed_role_applies_to_the_next_request_of_every_session(
    admin: Any, owner: Any, client_of: Browsers
) -> None:
    browser = client_of(admin)
    assert browser.get(reverse("notify:configure")).status_code == 200
    users.change_user(owner, admin.pk, role=Role.READER, is_active=True)
    assert browser.get(reverse("notify:configure")).status_code == 403


def test_ended_sessions_are_deleted_and_others_stay(reader: Any, client_of: Browsers) -> None:
    now = timezone.now()
    live = {"expires_at": now + dt.timedelta(minutes=1), "last_seen_at": now}
    Session.objects.create(digest=b"live", **live)
    Session.objects.create(digest=b"expired", **(live | {"expires_at": now}))
    Session.objects.create(digest=b"idle", **(live | {"last_seen_at": now - dt.timedelta(minutes=60)}))

    app.loader.import_default_modules()
    app.tasks[TASK]()

    assert [bytes(row) for row in Session.objects.values_list("digest", flat=True)] == [b"live"]


def test_every_scheduled_task_exists_and_sessions_are_among_them() -> None:
    app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in BEAT_SCHEDULE.values()}

    assert TASK in scheduled
    assert scheduled <= app.tasks.keys()


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/537.36 Chrome/126.0 Safari/537.36", "Chrome on macOS"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5", "curl"),
        ("", "Unknown device"),
        ("<script>", "Unknown device"),
    ],
)
def test_a_device_is_named_in_words(agent: str, name: str) -> None:
    assert device_name(agent) == name


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def test_a_late_response_to_an_ended_session_does_not_delete_the_next_session_s_cookie(reader: Any) -> None:
    browser = Client()
    browser.cookies["sessionid"] = "a" * 32
    assert "sessionid" not in browser.get("/session/").cookies
    assert "sessionid" not in browser.get("/sign-in/").cookies


def test_signing_out_deletes_the_cookie(reader: Any, client_of: Browsers) -> None:
    cookie = client_of(reader).post("/sign-out/").cookies["sessionid"]
    assert (cookie.value, cookie["max-age"]) == ("", 0)
