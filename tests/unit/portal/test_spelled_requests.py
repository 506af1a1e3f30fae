"""Requests that name a URL, a method or a caller in another way than clients do: none gets more than the plain one.

They go the way of real ones, from the ASGI scope that the server makes of them (`portal.front`) to Django.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote

import pytest
from django.core import signals
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client

from accounts.models import ApiToken, User
from drift.fleet.models import FleetState
from portal.access import TABLE
from portal.front.wsgi_call import Answer, call, environ

pytestmark = [pytest.mark.services, pytest.mark.django_db]
REFUSED: Final = {301, 302, 400, 401, 403, 404, 405, 415}
APPLICATION: Final = get_wsgi_application()
Headers = Iterable[tuple[str, str]]


def send(
    method: str, target: str, headers: Headers = (), body: bytes = b"", *, version: str = "1.1", host: str = "localhost"
) -> Answer:
    """Return the answer to a request as it stands on the wire."""
    path, _, query = target.partition("?")
    named = [("Host", host), *headers] if host else list(headers)
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "http_version": version,
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("192.0.2.1", 1234),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named],
    }
    answer = call(APPLICATION, environ(scope, body))
    answer.close()
    return answer


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """Keep the test's connection, which Django closes around requests, as its own client does."""
    ends = (signals.request_started, signals.request_finished)
    for each in ends:
        each.disconnect(close_old_connections)
    yield
    for each in ends:
        each.connect(close_old_connections)


@pytest.fixture
def session_of(client_of: Callable[[Any], Client]) -> Callable[[Any], tuple[str, str]]:
    """The header of a browser's session."""
    return lambda user: ("Cookie", f"sessionid={client_of(user).cookies['sessionid'].value}")


@pytest.fixture
def token_of(api_of: Callable[..., Client]) -> Callable[..., tuple[str, str]]:
    """The header of an API token."""

    def header(user: Any, *scopes: str) -> tuple[str, str]:
        return "Authorization", str(api_of(user, *scopes).defaults["HTTP_AUTHORIZATION"])

    return header


JSON: Final = ("Content-Type", "application/json")
STOP: Final = b'{"blocking_stopped": true}'


def is_stopped() -> bool:
    return FleetState.objects.get().blocking_stopped


# ---- Paths

PATHS: Final = [
    "{0}",
    "/{0}",
    "//{0}",
    "{1}",
    "{0}/",
    "{0}.",
    "{0}.json",
    "{1}.json",
    "{0}?format=json",
    "{0}?format=api",
    "{0};a=b",
    "{1};/",
    "{0}%20",
    "{0}%00",
    "{0}%0a",
    "{0}#x",
    "/.{0}",
    "/x/..{0}",
    "/x/%2e%2e{0}",
    "/static/..{0}",
    "/static/%2e%2e{0}",
    "/static/..%2f{2}",
    "/healthz/..{0}",
    "/healthz{0}",
    "/%2f{2}",
    "%2f{2}",
    "/\\{2}",
    "/%5c{2}",
    "http://localhost{0}",
    "http://evil.example{0}",
    "/%c0%af{2}",
    "/%ef%bc%8f{2}",
    "*",
    "",
]


def spelled(path: str) -> list[str]:
    """Ways to write a path: as it is, without its last slash, and without its first, in each frame."""
    frames = [each.format(path, path.rstrip("/"), path.lstrip("/")) for each in PATHS]
    encoded = "".join(f"%{ord(letter):02x}" for letter in path[1:])
    words = [path.upper(), path.title(), "/" + encoded, path.replace("/", "%2f"), "/" + path[1:].replace("/", "%2F")]
    return [*frames, *words, path.replace("/", "//"), path.replace("/", "/./"), path.replace("a", "%61")]


@pytest.mark.parametrize("caller", ["nobody", "reader", "a token for reading"])
def test_no_spelling_of_a_path_opens_what_the_path_does_not(
    caller: str, reader: Any, owner: Any, session_of: Any, token_of: Any
) -> None:
    headers = {
        "nobody": [],
        "reader": [session_of(reader)],
        "a token for reading": [token_of(owner, "read")],
    }[caller]
    opened = []
    for path in ("/users/", "/api/v1/enrolment-tokens/"):
        opened += [
            (target, answer.status)
            for target in spelled(path)
            if (answer := send("GET", target, headers)).status not in REFUSED
            and not target.startswith(("/healthz", "/static"))
        ]
    assert not opened


def test_a_token_opens_no_page_however_its_path_is_written(owner: Any, token_of: Any) -> None:
    token = token_of(owner)
    targets = [
        *spelled("/tokens/"),
        "/api/../tokens/",
        "/api/%2e%2e/tokens/",
        "/api/v1/..;/..;/tokens/",
        "/api//tokens/",
    ]
    assert not [target for target in targets if send("GET", target, [token]).status == 200]


def test_no_spelling_of_a_call_needs_less_than_the_call(owner: Any, session_of: Any, token_of: Any) -> None:
    """Not the token's scope, nor for a session the CSRF token."""
    for caller in ([], [token_of(owner, "read", "policy", "admin")], [session_of(owner)]):
        for target in spelled("/api/v1/blocking/"):
            status = send("PUT", target, [*caller, JSON], STOP).status
            assert (status in REFUSED, is_stopped()) == (True, False), (target, status)


# ---- Methods

OVERRIDES: Final = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method", "_method"]


@pytest.mark.parametrize("name", OVERRIDES)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
def test_no_header_or_field_makes_another_method_of_a_request(
    name: str, method: str, owner: Any, token_of: Any
) -> None:
    target = f"/api/v1/blocking/?{name}=PUT&_method=PUT"
    send(method, target, [token_of(owner), (name, "PUT"), JSON], STOP)
    assert not is_stopped()


@pytest.mark.parametrize(
    "method", ["TRACE", "CONNECT", "PROPFIND", "LINK", "trace", "post", "Post", "PO ST", "", "\xe9"]
)
def test_a_form_is_sent_by_post_and_nothing_else(method: str, reader: Any, session_of: Any, api_of: Any) -> None:
    """Without a CSRF token: Django asks for none with TRACE."""
    api_of(reader)
    token = ApiToken.objects.get()
    assert send(method, f"/tokens/{token.pk}/revoke/", [session_of(reader)]).status in {403, 405}
    token.refresh_from_db()
    assert token.revoked_at is None


def test_no_url_answers_a_method_that_its_table_does_not_know() -> None:
    assert not [name for name, each in TABLE.items() if each.required("TRACE") or each.required("PROPFIND")]


@pytest.mark.parametrize("target", ["/users/", "/settings/keys/", "/settings/blocking/"])
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_a_method_without_a_body_needs_the_role_of_get(method: str, target: str, reader: Any, session_of: Any) -> None:
    assert send(method, target).status == 302
    assert send(method, target, [session_of(reader)]).status == 403


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_a_method_without_a_body_needs_the_token_s_scope(method: str, owner: Any, token_of: Any) -> None:
    target = "/api/v1/enrolment-tokens/"
    assert send(method, target).status == 401
    assert send(method, target, [token_of(owner, "read", "policy")]).status == 403
    assert send(method, target, [token_of(owner, "fleet")]).status in {200, 405}


# ---- Callers


def test_a_request_with_two_tokens_is_nobody_s(owner: Any, reader: Any, token_of: Any) -> None:
    weak, strong = token_of(reader, "read"), token_of(owner)
    for pair in ((weak, strong), (strong, weak), (strong, strong)):
        assert send("GET", "/api/v1/alerts/", pair).status == 401
        assert send("PUT", "/api/v1/blocking/", [*pair, JSON], STOP).status == 401
    assert not is_stopped()


def test_a_token_and_a_session_together_are_the_token(owner: Any, reader: Any, session_of: Any, token_of: Any) -> None:
    session = session_of(owner)
    for token in (token_of(reader, "read"), ("Authorization", "Bearer x"), ("Authorization", "bearer")):
        assert send("PUT", "/api/v1/blocking/", [session, token, JSON], STOP).status in {401, 403}
        assert send("PUT", "/api/v1/blocking/", [token, session, JSON], STOP).status in {401, 403}
    assert not is_stopped()


@pytest.mark.parametrize(
    "frame",
    ["{0}", "Bearer{0}", "Bearer {0}x", "Bearer x {0}", "Token {0}", "Basic {0}", "Bearer\t{0}", "Bearer {0}, a"],
)
def test_a_token_in_another_frame_is_none(frame: str, owner: Any, token_of: Any) -> None:
    text = token_of(owner)[1].removeprefix("Bearer ")
    assert send("GET", "/api/v1/alerts/", [("Authorization", frame.format(text))]).status == 401


@pytest.mark.parametrize(
    "name", ["X-Authorization", "Proxy-Authorization", "Authorization_", "X-Forwarded-User", "Remote-User"]
)
def test_no_other_header_says_who_calls(name: str, owner: Any, token_of: Any) -> None:
    for value in (token_of(owner)[1], owner.email, str(owner.pk)):
        assert send("GET", "/api/v1/alerts/", [(name, value)]).status == 401
        assert send("GET", "/users/", [(name, value)]).status == 302


def test_of_two_cookies_of_a_session_one_counts_and_never_both(owner: Any, reader: Any, session_of: Any) -> None:
    mine, theirs = session_of(reader), ("Cookie", "sessionid=" + "a" * 32)
    for pair in ([mine, theirs], [theirs, mine]):
        assert send("GET", "/users/", pair).status in {302, 403}


@pytest.mark.parametrize(
    "headers",
    [
        [("HX-Request", "true")],
        [("HX-Request", "true"), ("HX-Boosted", "true")],
        [("HX-Request", "true"), ("HX-Target", "panel"), ("HX-Current-URL", "http://localhost/users/")],
        [("HX-History-Restore-Request", "true")],
        [("HX-Request", "true,true")],
        [("X-Requested-With", "XMLHttpRequest")],
        [("X-Poll", "1")],
        [("X-Confirm", "identity")],
        [("Sec-Fetch-Dest", "empty")],
        [("Accept", "application/json")],
    ],
)
def test_no_header_of_a_page_s_script_opens_anything(headers: Headers, reader: Any, session_of: Any) -> None:
    for target in ("/users/", "/settings/keys/", "/settings/siem/"):
        by_nobody, by_reader = send("GET", target, headers), send("GET", target, [*headers, session_of(reader)])
        assert (by_nobody.status, by_reader.status) in {(302, 403), (204, 403), (401, 403)}
        assert b"<main" not in by_nobody.first


@pytest.mark.parametrize(
    ("version", "host", "status"),
    [("1.0", "localhost", 302), ("1.0", "", 400), ("1.0", "evil.example", 400), ("2", "", 400)],
)
def test_an_old_protocol_without_a_host_or_with_another_is_no_way_in(
    settings: Any, version: str, host: str, status: int
) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    forged = [("X-Forwarded-Host", "localhost"), ("X-Host", "localhost")]
    assert send("GET", "/users/", forged, version=version, host=host).status == status


def test_an_underscore_in_a_header_s_name_is_not_the_hyphen_of_another(
    settings: Any, owner: Any, token_of: Any
) -> None:
    name, value = token_of(owner)
    assert send("GET", "/api/v1/alerts/", [(name, value)]).status == 200
    settings.TRUSTED_PROXIES = 1
    send(
        "GET",
        "/api/v1/alerts/",
        [(name, value), ("X_Forwarded_For", "203.0.113.9"), ("X-Forwarded-For", "198.51.100.1")],
    )
    ApiToken.objects.update(last_used_at=None)
    send(
        "GET",
        "/api/v1/alerts/",
        [(name, value), ("X_Forwarded_For", "203.0.113.9"), ("X-Forwarded-For", "198.51.100.1")],
    )
    assert str(ApiToken.objects.get().last_used_address) == "198.51.100.1"


def test_two_forwarded_headers_are_one_list_of_which_our_proxy_wrote_the_end(
    settings: Any, owner: Any, token_of: Any
) -> None:
    settings.TRUSTED_PROXIES = 1
    forged = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "198.51.100.1")]
    send("GET", "/api/v1/alerts/", [token_of(owner), *forged])
    assert str(ApiToken.objects.get().last_used_address) == "198.51.100.1"


def test_what_a_body_is_said_to_be_makes_no_form_of_a_call_and_no_call_of_a_form(
    owner: Any, session_of: Any, token_of: Any
) -> None:
    """A page of another site can send a form, or text, with the user's cookie; JSON it cannot."""
    session = session_of(owner)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert send("PUT", "/api/v1/blocking/", [session, ("Content-Type", kind)], STOP).status in {403, 415}
        assert send("PUT", "/api/v1/blocking/", [token_of(owner), ("Content-Type", kind)], STOP).status == 415
    form = json.dumps({"do": "stop"}).encode()
    assert send("POST", "/settings/blocking/", [session, JSON], form).status == 403
    assert not is_stopped()
    assert User.objects.count() == 1
