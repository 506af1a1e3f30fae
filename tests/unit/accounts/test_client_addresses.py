"""Whose tries count together: by the address that the outermost proxy of ours saw, and by its network."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory

from accounts.addresses import limited_address
from accounts.client_address import client_address, client_network
from tests.conftest import PASSWORD
from tests.unit.accounts.factors import add_app, sign_in

pytestmark = [pytest.mark.services, pytest.mark.django_db]

FORGED = "X-Forwarded-For"


def request_from(peer: str, **headers: str) -> Any:
    return RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "198.51.100.1", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        (1, "203.0.113.9,198.51.100.1:4711", "198.51.100.1"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
        (1, "unknown", "192.0.2.1"),
        (1, "203.0.113.9, ", "192.0.2.1"),
        (2, "203.0.113.9, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (2, "198.51.100.1", "192.0.2.1"),
    ],
)
def test_the_client_is_who_our_outermost_proxy_saw_whatever_the_client_wrote_before(
    settings: Any, proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert client_address(request_from("192.0.2.1", **{FORGED: forwarded})) == address


@pytest.mark.parametrize("header", ["X-Real-IP", "Forwarded", "X-Client-IP", "CF-Connecting-IP", "True-Client-IP"])
def test_no_other_header_names_the_client(settings: Any, header: str) -> None:
    settings.TRUSTED_PROXIES = 1
    assert client_address(request_from("192.0.2.1", **{header: "for=198.51.100.1"})) == "192.0.2.1"


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "::ffff:c000:201", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", False),
        ("2001:db8::1", "2001:db8:0:0:ffff::1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_addresses_that_one_client_has_count_together_and_others_do_not(one: str, other: str, is_one: bool) -> None:
    assert (client_network(request_from(one)) == client_network(request_from(other))) is is_one


def test_a_socket_for_both_versions_makes_not_everybody_one_client(reader: Any) -> None:
    cache.clear()
    for number in range(60):
        form = {"username": f"u{number}@example.com", "password": "wrong"}
        Client(REMOTE_ADDR="::ffff:198.51.100.7").post("/sign-in/", form)
    form = {"username": reader.email, "password": PASSWORD}
    assert Client(REMOTE_ADDR="::ffff:198.51.100.8").post("/sign-in/", form).status_code == 302
    assert Client(REMOTE_ADDR="198.51.100.7").post("/sign-in/", form).status_code == 429


def test_wrong_codes_from_addresses_of_one_network_count_together(reader: Any) -> None:
    cache.clear()
    add_app(reader)
    for number in range(11):
        browser, _ = sign_in(reader, REMOTE_ADDR=f"2001:db8::{number + 1:x}")
        page = browser.post("/sign-in/second-factor/", {"code": "000000"}, REMOTE_ADDR=f"2001:db8::{number + 1:x}")
    assert "Too many wrong codes" in page.content.decode()


def test_mails_that_one_network_asks_for_count_together(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    settings.EMAIL_HOST = "mail.example.com"
    asked: list[str] = []
    monkeypatch.setattr("accounts.views.password_reset.request_password_reset", asked.append)
    for number in range(25):
        form = {"email": f"u{number}@example.com"}
        Client(REMOTE_ADDR=f"2001:db8::{number + 1:x}").post("/password/forgotten/", form)
    assert len(asked) == 20


SPELLINGS = (
    "divisi@example.com",
    "DIVISI@EXAMPLE.COM",
    "d\u0130v\u0130s\u0130@example.com",
    " divis\u0130@example.com ",
)


@pytest.mark.parametrize("typed", SPELLINGS)
def test_every_spelling_that_finds_an_account_counts_as_that_account(typed: str) -> None:
    assert limited_address(typed) == "divisi@example.com"


def test_no_letter_that_the_database_takes_for_another_has_limits_of_its_own() -> None:
    """Somebody who guesses may type any letter, and the database has a small one for it."""
    letters = [chr(code) for code in range(0x80, 0x3000)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT letter, lower(letter) FROM unnest(%s::text[]) AS letter", [letters])
        small = {letter: lower for letter, lower in cursor.fetchall() if letter != lower}
    assert len(small) > 100
    apart = {letter for letter, lower in small.items() if limited_address(letter) != limited_address(lower)}
    assert not apart


def test_a_spelling_gains_no_tries(reader: Any) -> None:
    cache.clear()
    reader.email = "divisi@example.com"
    reader.save()
    pages = [
        Client(REMOTE_ADDR="192.0.2.1").post("/sign-in/", {"username": typed, "password": "wrong"})
        for typed in (*SPELLINGS, *SPELLINGS)
    ]
    assert [page.status_code for page in pages] == [200] * 5 + [429] * 3
