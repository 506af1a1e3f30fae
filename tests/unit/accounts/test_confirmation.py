"""A far-reaching change needs a proof of identity within five minutes (docs/sign-in.md#confirming)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actions.session_store import RENEWAL_GRACE, SessionStore
from accounts.actions.sessions import end_sessions
from accounts.models import ApiToken, AuditEntry, User
from accounts.models.sessions import Session, key_digest
from accounts.reauthentication import KEY, RECENT_SECONDS
from drift.fleet.models import FleetState, Rollout
from drift.policy.actions.drafts import change_draft
from drift.policy.domain import edits
from drift.policy.domain.draft_revision import DraftRevision
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import DraftState, draft_state
from portal import confirmation
from sensor.policy import default_document, digest
from tests.conftest import PASSWORD
from tests.unit.accounts.factors import add_app, code_of
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.services, pytest.mark.django_db]
TOKENS = "/tokens/"
TYPED: dict[str, Any] = {"name": 'ci "><b>', "days": "30", "scopes": ["read"]}


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def later_client_of(client_of: Callable[[Any], Client]) -> Callable[..., Client]:
    """A browser whose user signed in some time ago."""

    def client(user: Any, seconds: float = RECENT_SECONDS + 1) -> Client:
        browser = client_of(user)
        session = browser.session
        session[KEY] = time.time() - seconds
        session.save()
        return browser

    return client


def test_right_after_the_sign_in_nothing_is_confirmed_again(reader: Any, client_of: Callable[[Any], Client]) -> None:
    assert "shown only once" in client_of(reader).post(TOKENS, TYPED).content.decode()


@pytest.mark.parametrize("seconds", [RECENT_SECONDS + 1, -60, 1e12])
def test_an_older_session_or_a_clock_gone_wrong_is_asked(
    reader: Any, later_client_of: Callable[..., Client], seconds: float
) -> None:
    response = later_client_of(reader, seconds).post(TOKENS, TYPED)
    assert response.status_code == 403
    assert "Confirm that it is you" in response.content.decode()
    assert not ApiToken.objects.exists()


def test_what_was_typed_is_kept_and_posted_again_with_the_password(
    reader: Any, later_client_of: Callable[..., Client]
) -> None:
    browser = later_client_of(reader)
    page = browser.post(TOKENS, TYPED | {"tag": ["a", "b"]}).content.decode()
    assert re.search(r'name="name" value="ci &quot;&gt;&lt;b&gt;"', page)
    assert page.count('name="tag"') == 2
    response = browser.post(TOKENS, TYPED | {"confirm-password": PASSWORD})
    assert "shown only once" in response.content.decode()
    assert ApiToken.objects.get().name == TYPED["name"]


def test_a_confirmation_lasts_for_the_next_changes(reader: Any, later_client_of: Callable[..., Client]) -> None:
    browser = later_client_of(reader)
    browser.post(TOKENS, TYPED | {"confirm-password": PASSWORD})
    assert "shown only once" in browser.post(TOKENS, TYPED).content.decode()


def test_a_wrong_password_keeps_what_was_typed_and_is_audited(
    reader: Any, later_client_of: Callable[..., Client]
) -> None:
    response = later_client_of(reader).post(TOKENS, TYPED | {"confirm-password": "wrong-secret"})
    page = response.content.decode()
    assert (response.status_code, "The password is wrong." in page, "wrong-secret" in page) == (422, True, False)
    assert 'value="ci' in page
    entry = AuditEntry.objects.get(verb="failed to confirm identity of")
    assert "wrong-secret" not in str((entry.before, entry.after, entry.object_name))


def test_wrong_passwords_are_limited(reader: Any, later_client_of: Callable[..., Client]) -> None:
    browser = later_client_of(reader)
    for _ in range(10):
        browser.post(TOKENS, TYPED | {"confirm-password": "wrong"})
    assert "Too many wrong passwords" in browser.post(TOKENS, TYPED | {"confirm-password": PASSWORD}).content.decode()
    assert not ApiToken.objects.exists()


def test_a_code_confirms_as_well_as_a_password(reader: Any, later_client_of: Callable[..., Client]) -> None:
    secret = add_app(reader)
    response = later_client_of(reader).post(TOKENS, TYPED | {"confirm-code": code_of(secret)})
    assert "shown only once" in response.content.decode()
    assert AuditEntry.objects.get(verb="confirmed identity of").after == {"method": "totp"}


@pytest.mark.parametrize("credential", ["{}", "null", "[]", "x", '{"id": 1, "response": {}}', "{" * 5000])
def test_a_made_up_passkey_confirms_nothing(
    reader: Any, later_client_of: Callable[..., Client], credential: str
) -> None:
    response = later_client_of(reader).post(TOKENS, TYPED | {"confirm-credential": credential})
    assert response.status_code == 422
    assert not ApiToken.objects.exists()


def test_another_user_s_password_confirms_nothing(
    reader: Any, owner: Any, later_client_of: Callable[..., Client]
) -> None:
    owner.set_password("the-owner-s-own-password")
    owner.save()
    browser = later_client_of(reader)
    browser.post(TOKENS, TYPED | {"confirm-password": "the-owner-s-own-password"})
    assert not ApiToken.objects.exists()


def test_htmx_gets_a_dialog_that_leaves_the_page_as_it_is(reader: Any, later_client_of: Callable[..., Client]) -> None:
    response = later_client_of(reader).post(TOKENS, TYPED, headers={"HX-Request": "true"})
    assert (response.status_code, response["X-Confirm"]) == (422, "identity")
    assert "<dialog" in response.content.decode()
    assert TYPED["name"] not in response.content.decode()


def test_the_dialog_confirms_by_a_request_of_its_own(reader: Any, later_client_of: Callable[..., Client]) -> None:
    browser = later_client_of(reader)
    wrong = browser.post("/confirm/", {"confirm-password": "wrong"}, headers={"HX-Request": "true"})
    right = browser.post("/confirm/", {"confirm-password": PASSWORD}, headers={"HX-Request": "true"})
    assert (wrong.status_code, right.status_code, right["HX-Trigger"]) == (422, 204, "confirmed")
    assert "shown only once" in browser.post(TOKENS, TYPED).content.decode()


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"])
def test_confirming_never_leads_to_another_site(reader: Any, later_client_of: Callable[..., Client], url: str) -> None:
    response = later_client_of(reader).post("/confirm/", {"confirm-password": PASSWORD, "next": url})
    assert response["Location"] == "/"


def test_a_changed_password_is_no_confirmation(reader: Any, later_client_of: Callable[..., Client]) -> None:
    browser = later_client_of(reader)
    form = {"old_password": PASSWORD, "new_password": "another passphrase", "again": "another passphrase"}
    assert browser.post("/password/", form).status_code == 302
    assert browser.post(TOKENS, TYPED).status_code == 403


def test_a_confirmation_is_of_one_session_and_ends_with_it(reader: Any, later_client_of: Callable[..., Client]) -> None:
    here, there = later_client_of(reader), later_client_of(reader)
    here.post("/confirm/", {"confirm-password": PASSWORD})
    assert there.post(TOKENS, TYPED).status_code == 403
    confirmed = here.cookies["sessionid"].value
    here.post("/sign-out/")
    here.cookies["sessionid"] = confirmed
    assert here.post(TOKENS, TYPED)["Location"].startswith("/sign-in/")
    assert not ApiToken.objects.exists()


def test_an_api_call_from_a_session_is_not_a_way_around(admin: Any, later_client_of: Callable[..., Client]) -> None:
    response = later_client_of(admin).post("/api/v1/policy/versions/", {}, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (403, "confirmation_required")


def test_an_api_token_is_asked_nothing(admin: Any, api_of: Callable[[Any], Client]) -> None:
    response = api_of(admin).post("/api/v1/policy/versions/", {}, content_type="application/json")
    assert response.json()["code"] != "confirmation_required"


def test_stopping_all_blocking_never_waits_for_a_password(
    admin: Any, later_client_of: Callable[..., Client], queued: list[Any]
) -> None:
    browser = later_client_of(admin)
    assert browser.post(reverse("fleet:blocking"), {"do": "stop"}).status_code == 302
    assert FleetState.objects.get().blocking_stopped
    assert browser.post(reverse("fleet:blocking"), {"do": "resume"}).status_code == 403
    assert FleetState.objects.get().blocking_stopped
    assert browser.post(reverse("fleet:blocking"), {"do": "resume", "confirm-password": PASSWORD}).status_code == 302
    assert not FleetState.objects.get().blocking_stopped


@pytest.mark.parametrize(
    "body", ['{"blocking_stopped": true}', '{"blocking_stopped": false}', "[]", "{", "", "[" * 100_000]
)
def test_by_the_api_only_resuming_is_asked(
    admin: Any, later_client_of: Callable[..., Client], queued: list[Any], body: str
) -> None:
    response = later_client_of(admin).post("/api/v1/blocking/", body, content_type="application/json")
    is_asked = response.json().get("code") == "confirmation_required"
    assert is_asked == (body in {'{"blocking_stopped": false}', "[]"})


def test_a_draft_that_changes_between_the_check_and_the_save_is_asked_too(
    admin: Any, later_client_of: Callable[..., Client], queued: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    harmless, blocking = document("Alerts"), document("Blocks")
    blocking["rules"][0]["action"] = "block"
    change_draft(draft_state(admin), edits.replace_document(harmless))

    def then_changed(user: User) -> DraftState:
        checked = draft_state(user)
        change_draft(checked, edits.replace_document(blocking))
        return checked

    next_revision = DraftRevision(1, draft_state(admin).draft_revision.revision + 1)
    monkeypatch.setattr(confirmation, "draft_state", then_changed)
    answer = later_client_of(admin).post("/settings/policy/save/", {"revision": str(next_revision)})

    assert draft_state(admin).draft_revision == next_revision
    assert (answer.status_code, PolicyVersion.objects.count()) == (403, 1)


@pytest.mark.parametrize("action", ["block", "alert"])
def test_a_rollback_to_a_policy_that_blocks_is_asked_and_one_that_ends_blocking_never_waits(
    admin: Any, later_client_of: Callable[..., Client], queued: list[Any], settings: Any, action: str
) -> None:
    settings.DEFAULT_RULE_MAY_BLOCK = True
    before, after = ({**default_document(), "default": {"action": each}} for each in (action, "ignore"))
    for number, body in ((2, before), (3, after)):
        version = PolicyVersion.objects.create(number=number, document=body, digest=digest(body), base_id=1)
        Rollout.objects.create(version=version)
    browser = later_client_of(admin)
    by_api = browser.post("/api/v1/rollouts/3/roll-back/")
    by_page = browser.post("/rollouts/3/roll-back/")
    if action == "block":
        assert (by_api.status_code, by_api.json()["code"]) == (403, "confirmation_required")
        assert (by_page.status_code, PolicyVersion.objects.count()) == (403, 3)
        by_page = browser.post("/rollouts/3/roll-back/", {"confirm-password": PASSWORD})
    assert by_page.status_code == 302
    assert PolicyVersion.objects.latest("number").document == before


def test_a_new_enrolment_token_is_asked_by_page_and_api(admin: Any, later_client_of: Callable[..., Client]) -> None:
    browser = later_client_of(admin)
    assert browser.post("/settings/onboarding/", {"name": "nodes"}).status_code == 403
    answer = browser.post("/api/v1/enrolment-tokens/", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_required")
    assert browser.get("/settings/onboarding/").status_code == 200


def test_a_signed_out_or_deactivated_user_is_not_asked_but_sent_to_sign_in(
    reader: Any, later_client_of: Callable[..., Client]
) -> None:
    browser = later_client_of(reader)
    User.objects.update(is_active=False)
    assert "/sign-in/" in browser.post(TOKENS, TYPED)["Location"]


def test_the_form_needs_its_csrf_token(reader: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(reader)
    assert browser.post("/confirm/", {"confirm-password": PASSWORD}).status_code == 403


def test_a_confirmation_gives_the_session_a_new_key_and_confirms_nothing_for_who_has_the_old_one(
    reader: Any, later_client_of: Callable[..., Client]
) -> None:
    browser, thief = later_client_of(reader), Client()
    old = browser.cookies["sessionid"].value
    began = Session.objects.get().created_at
    assert browser.post("/confirm/", {"confirm-password": PASSWORD}).status_code == 302
    new = browser.cookies["sessionid"].value
    thief.cookies["sessionid"] = old

    assert new != old
    assert "shown only once" in browser.post(TOKENS, TYPED).content.decode()
    assert "Confirm that it is you" in thief.post(TOKENS, TYPED).content.decode()
    assert Session.objects.get(digest=key_digest(new)).created_at == began, "it ends when it would have ended"
    assert Session.objects.get(digest=key_digest(new)).user_id == reader.pk


def test_a_request_under_way_is_still_answered_and_the_old_key_ends_soon_whatever_it_stores(
    reader: Any, later_client_of: Callable[..., Client]
) -> None:
    browser, late = later_client_of(reader), Client()
    late.cookies["sessionid"] = browser.cookies["sessionid"].value
    browser.post("/confirm/", {"confirm-password": PASSWORD})
    assert late.get(reverse("accounts:sessions")).status_code == 200
    session = late.session
    session["typed"] = "meanwhile"
    session.save()
    row = Session.objects.get(digest=key_digest(late.cookies["sessionid"].value))
    assert row.expires_at <= timezone.now() + RENEWAL_GRACE
    Session.objects.filter(pk=row.pk).update(expires_at=timezone.now())

    assert late.get(reverse("accounts:sessions")).status_code == 302
    assert browser.get(reverse("accounts:sessions")).status_code == 200


def test_ending_the_sessions_before_a_confirmation_is_answered_ends_the_renewed_one_too(
    reader: Any, later_client_of: Callable[..., Client]
) -> None:
    store = SessionStore(later_client_of(reader).cookies["sessionid"].value)
    assert store.items()
    store.renew()
    store["authenticated_at"] = 1

    end_sessions(None, reader)

    with pytest.raises(UpdateError):
        store.save()
    assert not Session.objects.exists()


def test_a_session_that_was_ended_is_not_renewed(reader: Any, later_client_of: Callable[..., Client]) -> None:
    store = SessionStore(later_client_of(reader).cookies["sessionid"].value)
    assert store.items()
    end_sessions(None, reader)

    with pytest.raises(SessionInterrupted):
        store.renew()
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_ending_the_sessions_while_one_is_being_renewed_leaves_at_most_the_key_that_ends_soon(
    reader: Any, later_client_of: Callable[..., Client]
) -> None:
    store = SessionStore(later_client_of(reader).cookies["sessionid"].value)
    assert store.items()

    def end() -> None:
        try:
            end_sessions(None, reader)
        finally:
            connection.close()

    ending = threading.Thread(target=end)
    with transaction.atomic():
        store.renew()
        ending.start()
        while not waiting_for_a_lock():
            time.sleep(0.01)
    ending.join()

    assert not Session.objects.filter(expires_at__gt=timezone.now() + RENEWAL_GRACE).exists()
    with pytest.raises(UpdateError):
        store.save()


def waiting_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


def test_a_session_that_is_confirmed_twice_from_one_page_lives_on_under_the_second_key(
    reader: Any, later_client_of: Callable[..., Client]
) -> None:
    key = later_client_of(reader).cookies["sessionid"].value
    stores = [SessionStore(key), SessionStore(key)]
    for store in stores:
        assert store.items()
    for store in stores:
        store.renew()
        store["authenticated_at"] = 1
        store.save()

    ends = [Session.objects.get(digest=key_digest(store.session_key or "")).expires_at for store in stores]
    assert min(ends) > timezone.now() + RENEWAL_GRACE
    assert SessionStore(key).load()
    assert Session.objects.get(digest=key_digest(key)).expires_at <= timezone.now() + RENEWAL_GRACE


def test_a_renewed_session_is_the_same_in_the_list_of_sessions(
    reader: Any, later_client_of: Callable[..., Client]
) -> None:
    store = SessionStore(later_client_of(reader).cookies["sessionid"].value)
    assert store.items()
    before = store.row_id
    store.renew()

    assert store.row_id == before == Session.objects.get(digest=key_digest(store.session_key or "")).pk
