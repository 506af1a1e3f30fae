"""What somebody who reads the database gets: docs/security.md#the-database-is-read."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.test import Client
from django.utils import timezone

from accounts.actions.links import create_link, create_requested_link
from accounts.actions.tokens import create_token
from accounts.models import User
from accounts.tokens import TokenScope
from drift.fleet.actions.enrolment_tokens import create_enrolment_token
from drift.fleet.actions.signing_keys import add_key
from drift.notify.actions import deliveries
from drift.notify.actions.settings import add_webhook
from drift.notify.models import NoticeDelivery, NoticeState
from tests.conftest import PASSWORD
from tests.database import as_owner
from tests.unit.accounts.factors import add_app, code_of, sign_in
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def _rows() -> Iterator[tuple[str, str]]:
    """Every row of every table of the portal as text, bytes in hexadecimal: (table, row)."""
    with as_owner() as cursor:
        cursor.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'm') ORDER BY 1"
        )
        for table in [name for (name,) in cursor.fetchall()]:
            cursor.execute(f"SELECT t::text FROM {table} t")
            yield from ((table, row) for (row,) in cursor.fetchall())


def _forms(secret: bytes) -> set[str]:
    """How it would read in a row: as text, in hexadecimal, and in either base64 at each of the three alignments."""
    forms = {secret.decode(errors="replace"), secret.hex()}
    for shift in range(3):
        padded = b"\0" * shift + secret
        # Without the characters that also depend on what stands before and after the secret.
        inner = slice([0, 2, 3][shift], len(padded) // 3 * 4)
        forms |= {base64.b64encode(padded).decode()[inner], base64.urlsafe_b64encode(padded).decode()[inner]}
    return forms


def _tables_with(secret: bytes, rows: list[tuple[str, str]]) -> set[str]:
    forms = _forms(secret)
    return {table for table, row in rows if any(form in row for form in forms)}


def _random_part(token: str) -> bytes:
    """A token or link without its kind and its public prefix, which is stored to recognise it."""
    return token.rstrip("/").rpartition("/")[2].split("_", 2)[-1].encode()


def _private_key(secrets: dict[str, bytes], owner: User) -> bytes:
    """Import a signing key; returns its public half."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    add_key(owner, pem)
    secrets["signing key"] = key.private_bytes_raw()
    secrets["signing key's file"] = pem.splitlines()[1]
    return key.public_key().public_bytes_raw()


def _sign_in_by_all_means(secrets: dict[str, bytes], owner: User, reader: User) -> None:
    app = add_app(owner)
    secrets["authenticator app"] = app.encode()
    secrets["authenticator app's key"] = base64.b32decode(app)
    codes = RecoveryCodes.activate(owner).get_unused_codes()
    secrets |= {f"recovery code {place}": code.encode() for place, code in enumerate(codes)}
    browser, _ = sign_in(owner)
    assert browser.post("/sign-in/second-factor/", {"code": code_of(app)}).status_code == 302
    secrets["session"] = browser.cookies["sessionid"].value.encode()
    other, _ = sign_in(reader)
    secrets["session of a reader"] = other.cookies["sessionid"].value.encode()
    assert other.get("/alerts/").status_code == 200
    # As people do: the password in the field for the name.
    Client().post("/sign-in/", {"username": PASSWORD, "password": "x"})
    Client().post("/sign-in/", {"username": reader.email, "password": "wrong tidal lantern"})
    secrets |= {"password": PASSWORD.encode(), "wrong password": b"wrong tidal lantern"}


def _make_tokens(secrets: dict[str, bytes], owner: User, reader: User) -> None:
    later = timezone.now() + dt.timedelta(days=1)
    token = create_token(owner, "script", later, scopes=[TokenScope.READ])
    assert Client(headers={"Authorization": f"Bearer {token}"}).get("/api/v1/alerts/").status_code == 200
    environment = estate.environment()
    enrolment = create_enrolment_token(owner, name="nodes", environment=environment, expires_at=later)[1]
    credential = estate.enrol(enrolment).json()["credential"]
    node = estate.as_sensor(credential)
    assert node.post(estate.HEARTBEAT, estate.beat(), content_type="application/json").status_code == 200
    ticket = node.post(estate.TICKET, content_type="application/json").json()["ticket"]
    links = {"link": create_link(owner, reader), "reset link": create_requested_link(reader)}
    issued = {"API token": token, "enrolment token": enrolment, "sensor credential": credential, **links}
    secrets |= {name: _random_part(text) for name, text in issued.items()}
    secrets["ticket"] = ticket.encode()


def _notify(secrets: dict[str, bytes], owner: User, settings: Any) -> None:
    """Add a webhook and send to it and by mail, in vain."""
    row, secret = add_webhook(
        owner, name="chat", url="https://hooks.invalid/services/T0-webhook-path?key=K1-webhook-key", alerts=True,
        health=True,
    )  # fmt: skip
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "portal", "mail-server-password"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    deliveries.send_test(owner, row.pk)
    deliveries.send_test(owner, None)
    deliveries.send_due()
    assert not NoticeDelivery.objects.filter(state=NoticeState.SENT).exists()
    secrets |= {"webhook's secret": secret.encode(), "webhook's path": b"T0-webhook-path"}
    secrets |= {"webhook's key": b"K1-webhook-key", "mail server's password": b"mail-server-password"}


def test_no_secret_is_in_the_database_in_any_form_that_can_be_read(owner: User, reader: User, settings: Any) -> None:
    secrets = {"SECRET_KEY": settings.SECRET_KEY.encode()}
    public_key = _private_key(secrets, owner)
    _sign_in_by_all_means(secrets, owner, reader)
    _make_tokens(secrets, owner, reader)
    _notify(secrets, owner, settings)

    rows = list(_rows())
    # What is known to be there is found: as text, as bytes.
    assert "notify_webhook" in _tables_with(b"https://hooks.invalid/", rows)
    assert _tables_with(public_key, rows) == {"fleet_signingkey"}
    assert min(map(len, secrets.values())) >= 8
    assert {name: tables for name, secret in secrets.items() if (tables := _tables_with(secret, rows))} == {}


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc"])
@pytest.mark.parametrize("secret", [b"correct-horse-battery", b"12345678", bytes(range(200, 232))])
def test_a_secret_is_found_in_whatever_form_it_is_stored(before: bytes, secret: bytes) -> None:
    text = before + secret + b"after"
    for stored in (text.hex(), base64.b64encode(text).decode(), base64.urlsafe_b64encode(text).decode()):
        assert _tables_with(secret, [("table", stored)]) == {"table"}
    if secret.isascii():
        assert _tables_with(secret, [("table", text.decode())]) == {"table"}
