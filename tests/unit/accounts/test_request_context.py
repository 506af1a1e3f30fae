"""Audit entries and log lines name the request, task or command that they come from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts import audit, request_context
from accounts.models import ApiToken, AuditEntry
from portal.celery import _name_task
from portal.log_lines import AddRequestId

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def sign_in(user: Any, password: str = "correct-horse-battery", **headers: Any) -> Any:
    return Client(**headers).post("/sign-in/", {"username": user.email, "password": password})


def test_an_entry_carries_address_agent_session_and_request_id(reader: Any) -> None:
    response = sign_in(reader, REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT="Firefox\x1b[31m\u202e")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.verb, entry.origin, entry.address, entry.agent) == ("signed in", "page", "192.0.2.7", "Firefox[31m")
    assert entry.session == request_context.session_mark(response.cookies["sessionid"].value)
    assert entry.request_id == response["X-Request-ID"] and len(entry.request_id) == 32
    assert response.cookies["sessionid"].value not in (entry.session, entry.request_id)


def test_an_entry_by_token_carries_its_prefix_and_no_session(admin: Any, api_of: Callable[[Any], Client]) -> None:
    response = api_of(admin).post(
        "/api/v1/environments/", {"provider": "aws", "account": "123456789012", "name": "x"}, "application/json"
    )
    assert response.status_code == 201, response.content
    entry = AuditEntry.objects.latest("pk")
    assert (entry.origin, entry.token, entry.session) == ("api", ApiToken.objects.get().prefix, "")


def test_a_word_that_is_not_a_token_is_in_no_entry(admin: Any) -> None:
    response = Client(headers={"Authorization": "Bearer dwp_hunter2_" + "x" * 43}).get("/api/v1/environments/")
    with request_context.serving(response.wsgi_request, "r"):
        audit.record(None, "x", "x", 1)
    assert AuditEntry.objects.latest("pk").token == ""


@pytest.mark.parametrize("given", ["abcdefgh", "0af7651916cd43dd8448eb211c80319c", "a.b-c_d.e-f", "x" * 64])
def test_the_id_of_our_own_proxy_is_kept(given: str, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    assert Client().get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given",
    ["", "short", "x" * 65, "abcdefgh\n", "abcdefgh ijkl", "<script>alert", "-abcdefgh", "ééééééééé", "a" * 8 + "\0"],
)
def test_an_id_that_is_not_well_formed_is_replaced(given: str, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    made = Client().get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"]
    assert made != given and len(made) == 32


def test_without_a_proxy_a_client_cannot_choose_the_id() -> None:
    made = [Client().get("/healthz", headers={"X-Request-ID": "abcdefghijkl"})["X-Request-ID"] for _ in range(2)]
    assert "abcdefghijkl" not in made and made[0] != made[1]


@pytest.mark.parametrize("path", ["/nothing/", "/api/v1/nothing/", "/users/", "/static/none.css"])
def test_every_response_carries_the_id(path: str) -> None:
    assert len(Client().get(path)["X-Request-ID"]) == 32


@pytest.mark.parametrize(
    ("remote", "stored"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", ""),
        ("unix:", ""),
        ("<script>", ""),
    ],
)
def test_only_an_address_is_stored_as_an_address(remote: str, stored: str, reader: Any) -> None:
    sign_in(reader, REMOTE_ADDR=remote)
    assert AuditEntry.objects.latest("pk").address == stored


def test_a_forged_entry_of_x_forwarded_for_is_not_stored(reader: Any, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    sign_in(reader, REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="6.6.6.6, 192.0.2.9")
    assert AuditEntry.objects.latest("pk").address == "192.0.2.9"


def test_what_was_typed_as_an_unknown_name_is_not_kept(reader: Any) -> None:
    Client().post("/sign-in/", {"username": "hunter2-my-password", "password": "x"})
    unknown = AuditEntry.objects.latest("pk")
    Client().post("/sign-in/", {"username": reader.email.upper(), "password": "x"})
    known = AuditEntry.objects.latest("pk")
    assert (unknown.verb, unknown.object_name, unknown.object_id, unknown.after) == (
        "failed to sign in as",
        "",
        "",
        None,
    )
    assert (known.object_name, known.object_id) == (reader.email, str(reader.pk))


def test_a_task_names_itself_and_keeps_the_id_of_its_request() -> None:
    class Task:
        name = "fleet.tidy"
        request = {"request_id": "of-the-request"}  # noqa: RUF012 - as Celery's context

    try:
        _name_task(Task(), task_id="of-the-task")  # type: ignore[arg-type]
        audit.record(None, "x", "x", 1)
    finally:
        request_context.set_program("")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.origin, entry.request_id, entry.address) == ("task fleet.tidy", "of-the-request", "")


def test_log_lines_carry_the_id_within_a_request_and_a_dash_outside() -> None:
    def line() -> str:
        row = logging.LogRecord("x", logging.INFO, "", 0, "text", None, None)
        AddRequestId().filter(row)
        return str(row.request_id)  # type: ignore[attr-defined]

    with request_context.serving(Client().get("/healthz").wsgi_request, "abc"):
        assert line() == "abc"
    assert line() == "-"
