"""SECRET_KEY is replaced in a living portal: nobody signs in again, no sensor enrols again, nothing stored is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.actions.links import create_link
from accounts.actions.second_factor import accept_code
from accounts.encryption import WrongKeyError, secret_keys
from accounts.models import AuditEntry
from accounts.models.sessions import Session
from drift.fleet.actions.bundles import ensure_signing_key
from drift.fleet.actions.signing_keys import add_key, promote_key
from drift.fleet.models import SigningKey
from drift.fleet.queries import bundles
from drift.notify.actions.settings import add_webhook
from drift.notify.domain import webhook_secret
from drift.notify.models import Webhook
from drift.web.cursors import read_cursor, write_cursor
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]
OLD, NEW = "the key of last year", "the key of this year"


@pytest.fixture
def replace_key(settings: Any) -> Callable[..., None]:
    """Set SECRET_KEY as a restart does, with or without the key before."""

    def replace(key: str, *before: str) -> None:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = key, list(before)
        bundles._cached_signature.cache_clear()

    replace(OLD)
    return replace


def _code(user: Any) -> str:
    secret = totp.decrypt(Authenticator.objects.get(user=user, type="totp").data["secret"])
    counter = next(iter(totp.yield_hotp_counters_from_time()))
    return str(totp.format_hotp_value(totp.hotp_value(secret, counter)))


class Living:
    """What somebody has in a portal: a session, an API token, a sensor, an app, a webhook, an invitation, a page."""

    def __init__(self, owner: Any, client_of: Any, api_of: Any) -> None:
        self.owner = owner
        self.browser: Client = client_of(owner)
        self.api: Client = api_of(owner)
        self.cluster = estate.cluster()
        self.enrolment = estate.token(self.cluster.environment)[1]
        self.sensor: Client = estate.as_sensor(estate.sensor(self.cluster)[1])
        self.key = ensure_signing_key()
        totp.TOTP.activate(owner, totp.generate_totp_secret())
        self.webhook, self.secret = add_webhook(
            owner, name="chat", url="https://8.8.8.8/hook", alerts=True, health=False
        )
        self.invitation = create_link(owner, owner)
        self.cursor = write_cursor("list", [5])

    def works(self) -> dict[str, bool]:
        """Return what works."""
        row = Webhook.objects.get(pk=self.webhook.pk)
        try:
            app = accept_code(self.owner, _code(self.owner)) is not None
        except WrongKeyError:
            app = False
        Authenticator.objects.filter(user=self.owner).update(
            data={**Authenticator.objects.get(user=self.owner).data, "last_counter": -1}
        )
        try:
            webhook = webhook_secret.unseal(bytes(row.sealed), secret_keys(), webhook_secret.SECRET) == self.secret
            webhook &= webhook_secret.unseal(bytes(row.sealed_url), secret_keys(), webhook_secret.ADDRESS).endswith(
                "hook"
            )
        except Exception:  # noqa: BLE001 - whatever the library raises
            webhook = False
        node = estate.enrol(self.enrolment, node=f"node-{AuditEntry.objects.count()}")
        return {
            "session": self.browser.get(reverse("accounts:sessions")).status_code == 200,
            "token": self.api.get("/api/v1/environments/").status_code == 200,
            "sensor": self.sensor.post(estate.HEARTBEAT, json.dumps(estate.beat()), "application/json").status_code
            == 200,
            "signing key": ensure_signing_key() == self.key,
            "app": app,
            "webhook": webhook,
            "invitation": Client().get(self.invitation).status_code == 302,
            "cursor": read_cursor("list", self.cursor) == [5],
            "enrolment": node.status_code == 201,
        }


@pytest.fixture
def living(replace_key: Any, owner: Any, client_of: Any, api_of: Any, queued: list[Any]) -> Living:
    return Living(owner, client_of, api_of)


LASTING = ("session", "token", "sensor", "signing key", "app", "webhook")
"""What is used or encrypted under the new key before the old one is forgotten."""


def test_while_the_key_before_is_accepted_everything_works(living: Living, replace_key: Any) -> None:
    assert [name for name, works in living.works().items() if not works] == []
    replace_key(NEW, OLD)

    assert [name for name, works in living.works().items() if not works] == []
    assert SigningKey.objects.count() == 1, "a new signing key would lose every sensor"


def test_after_the_command_the_key_before_may_be_forgotten(living: Living, replace_key: Any) -> None:
    replace_key(NEW, OLD)
    living.works()
    call_command("rotate_secret_key", stdout=(output := StringIO()))
    replace_key(NEW)
    works = living.works()

    assert [name for name in LASTING if not works[name]] == []
    assert output.getvalue().splitlines() == [
        "signing keys: 1 encrypted under SECRET_KEY",
        "webhooks: 1 encrypted under SECRET_KEY",
        "second factors: 1 encrypted under SECRET_KEY",
    ]
    assert AuditEntry.objects.filter(verb="encrypted again").exists()


def test_without_the_key_before_nothing_of_it_opens_anything(living: Living, replace_key: Any) -> None:
    replace_key(NEW)

    assert [name for name, works in living.works().items() if works] == []


def test_a_session_of_the_key_before_is_one_of_the_new_key_after_its_next_request(
    living: Living, replace_key: Any
) -> None:
    before = bytes(Session.objects.get(user=living.owner).digest)
    replace_key(NEW, OLD)
    living.browser.get(reverse("accounts:sessions"))
    replace_key(NEW)

    assert living.browser.get(reverse("accounts:sessions")).status_code == 200
    assert before not in [bytes(each.digest) for each in Session.objects.all()]


def test_the_command_may_be_repeated_and_needs_the_key_before(living: Living, replace_key: Any) -> None:
    with pytest.raises(CommandError, match="SECRET_KEY_FALLBACK"):
        call_command("rotate_secret_key", stdout=StringIO())
    replace_key(NEW, OLD)
    call_command("rotate_secret_key", stdout=StringIO())
    call_command("rotate_secret_key", stdout=StringIO())
    replace_key(NEW)

    assert living.works()["webhook"]


def test_what_no_key_decrypts_is_counted_and_left(living: Living, replace_key: Any) -> None:
    sealed = bytes(SigningKey.objects.get().sealed_private_key)
    replace_key(NEW, "a key that never was")
    call_command("rotate_secret_key", stdout=(output := StringIO()))

    assert "signing keys: 0 encrypted under SECRET_KEY; 1 were encrypted under another key" in output.getvalue()
    assert bytes(SigningKey.objects.get().sealed_private_key) == sealed


def test_a_pending_key_is_promoted_after_the_rotation(living: Living, replace_key: Any) -> None:
    pending = add_key(living.owner)
    replace_key(NEW, OLD)
    call_command("rotate_secret_key", stdout=StringIO())
    replace_key(NEW)

    assert promote_key(living.owner, pending.key_id, force=True).key_id == ensure_signing_key().key_id
