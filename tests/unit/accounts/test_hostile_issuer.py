"""A slow, broken or hostile issuer: a page says so, nobody comes in wrongly, and the portal goes on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import connection
from django.test import Client

from accounts import issuer_session
from accounts.actions.issuer_sign_in import TAKEN, link_identity
from accounts.issuer import Identity
from accounts.issuer_session import IssuerSession
from accounts.models import User
from accounts.roles import Role
from tests.unit.accounts.fake_issuer import KEY, FakeIssuer
from tests.unit.platform_spellings import PLATFORM_SPELLINGS

pytestmark = [pytest.mark.services, pytest.mark.django_db, pytest.mark.usefixtures("issuer_settings")]


def _refuses(issuer: FakeIssuer, status: int = 503) -> bool:
    response = issuer.sign_in(Client())
    return response.status_code == status and not User.objects.filter(email="ada@example.com").exists()


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": float("inf")},
        {"exp": "soon"},
        {"iat": float("nan")},
        {"auth_time": 10**400},
        {"auth_time": "yesterday"},
        {"auth_time": {}},
        {"sub": "a\0b"},
        {"sub": "a\nb"},
        {"sub": 7},
        {"sub": "\ud800"},
        {"aud": ["portal", "another"]},
        {"aud": []},
        {"azp": ["portal"]},
        {"nonce": ["x"]},
    ],
)
def test_claims_that_cannot_be_are_refused_with_a_page(issuer: FakeIssuer, claims: dict[str, Any]) -> None:
    issuer.token_claims = claims
    issuer.user_info = {name: issuer.claims[name] for name in issuer.claims} | {"sub": claims.get("sub", "subject-1")}
    assert _refuses(issuer)


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "a\0b@example.com"},
        {"email": "a" * 300 + "@example.com"},
        {"email": ["ada@example.com"]},
        {"email": "ada"},
        {"email": "ci@service.invalid"},
        {"email": "Ada <ada@example.com>"},
    ],
)
def test_what_is_no_address_of_a_user_adds_none(issuer: FakeIssuer, claims: dict[str, Any]) -> None:
    issuer.claims |= claims
    assert _refuses(issuer, 403)
    assert not User.objects.exists()


def test_an_address_of_one_source_is_not_verified_by_the_other(issuer: FakeIssuer) -> None:
    issuer.user_info = {"sub": "subject-1", "email": "boss@example.com", "groups": ["soc"]}
    issuer.sign_in(Client())
    assert User.objects.get().email == "ada@example.com"


@pytest.mark.parametrize("name", ["A\0da", "Ada\ud800", "\u202eadA", "Ada\r\nBcc: x", {"a": 1}, "x" * 10_000])
def test_any_name_is_stored_as_one_visible_line(issuer: FakeIssuer, name: Any) -> None:
    issuer.claims["name"] = name
    assert issuer.sign_in(Client()).status_code == 302
    stored = User.objects.get().name
    assert stored.isprintable()
    assert len(stored) <= 128


def test_the_role_of_the_last_of_ten_thousand_groups_counts(issuer: FakeIssuer) -> None:
    issuer.claims["groups"] = [f"group-{number}" for number in range(10_000)] + ["soc", "a\0b"]
    assert issuer.sign_in(Client()).status_code == 302
    assert User.objects.get().role == Role.OPERATOR


@pytest.mark.parametrize(
    "overage", [{"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}}, {"hasgroups": True}]
)
def test_groups_that_the_issuer_could_not_send_cost_nobody_the_account(
    issuer: FakeIssuer, overage: dict[str, Any]
) -> None:
    issuer.sign_in(Client())
    issuer.claims |= {"groups": None} | overage
    response = issuer.sign_in(Client())
    assert (response.status_code, "too many groups" in response.content.decode()) == (503, True)
    assert User.objects.get().is_active


def test_a_subject_that_another_user_had_signs_in_as_that_user_whatever_the_address(issuer: FakeIssuer) -> None:
    issuer.sign_in(Client())
    issuer.claims["email"] = "eve@example.com"
    issuer.sign_in(Client())
    assert User.objects.get().email == "ada@example.com"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("race", ["two accounts of one user", "one account of two users"])
def test_of_links_that_race_one_is_made(race: str, reader: Any, owner: Any, settings: Any) -> None:
    outcomes: list[str] = []
    together = threading.Barrier(2)
    users = (reader, reader) if race.startswith("two") else (reader, owner)

    def link(user: User, subject: str) -> None:
        identity = Identity(settings.OIDC_ISSUER, subject, "", "", ("soc",), None)
        try:
            together.wait()
            outcomes.append(link_identity(user, identity))
        finally:
            connection.close()

    subjects = ("a", "b") if race.startswith("two") else ("a", "a")
    threads = [threading.Thread(target=link, args=each) for each in zip(users, subjects, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["", TAKEN]


def test_an_invited_owner_who_never_came_does_not_stand_in_for_the_last_one(issuer: FakeIssuer) -> None:
    issuer.claims["groups"] = ["boss"]
    issuer.sign_in(Client())
    User.objects.create_user("invited@example.com", "Invited", Role.OWNER)
    issuer.claims["groups"] = []
    assert issuer.sign_in(Client()).status_code == 403
    assert User.objects.get(email="ada@example.com").is_active


@pytest.mark.parametrize(
    "configuration",
    [
        {"token_endpoint": None},
        {"authorization_endpoint": 7},
        {"jwks_uri": ["x"]},
        {"issuer": 1},
        {"token_endpoint_auth_methods_supported": 7},
    ],
)
def test_a_broken_configuration_is_a_page(issuer: FakeIssuer, configuration: dict[str, Any]) -> None:
    browser = Client()
    state = issuer.begin(browser)["state"]
    issuer.configuration = configuration
    response = browser.get("/sign-in/issuer/callback/", {"state": state, "code": "c"})
    assert response.status_code in {302, 503}
    assert Client().get("/sign-in/issuer/").status_code in {302, 503}


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(issuer: FakeIssuer) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    issuer.algorithm = "HS256"
    # As DER: the library refuses to sign with PEM.
    issuer.signing_key = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert _refuses(issuer)


# ---- Its answers over HTTP


@pytest.fixture
def served(settings: Any) -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], str]]:
    """Serve what a function writes; returns the URL."""
    servers = []

    def serve(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        handler = type("Handler", (BaseHTTPRequestHandler,), {"do_GET": answer, "log_message": lambda *args: None})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.OIDC_ISSUER = f"http://127.0.0.1:{server.server_port}"
        return str(settings.OIDC_ISSUER)

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def _redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://169.254.169.254/")
    handler.end_headers()


def _flood(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(1_000):
            handler.wfile.write(b" " * 65_536)
    except OSError:
        pass


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(200):
            handler.wfile.write(b" ")
            time.sleep(0.02)
    except OSError:
        pass


@pytest.mark.parametrize("answer", [_redirect, _flood, _drip])
def test_a_redirect_a_flood_and_a_trickle_end_early_with_a_page(
    served: Any, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    monkeypatch.setattr(issuer_session, "TOTAL_SECONDS", 0.3)
    served(answer)
    began = time.monotonic()
    response = Client().get("/sign-in/issuer/")
    assert (response.status_code, "cannot be reached" in response.content.decode()) == (503, True)
    assert time.monotonic() - began < 4


def test_no_password_of_a_netrc_file_replaces_the_access_token(
    served: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    sent: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        sent.append(handler.headers["Authorization"])
        handler.send_response(200)
        handler.end_headers()

    url = served(answer)
    IssuerSession().get(url, headers={"Authorization": "Bearer access"})
    IssuerSession().get(url)
    IssuerSession().get(url, auth=("portal", "secret"))
    assert sent == ["Bearer access", None, "Basic cG9ydGFsOnNlY3JldA=="]


@pytest.mark.parametrize("url", ["http://10.0.0.1/jwks", "file:///etc/passwd", "http://127.0.0.1:1/", "", "gopher://x"])
def test_no_url_of_the_configuration_leads_elsewhere_without_tls(served: Any, url: str) -> None:
    served(_flood)
    with pytest.raises(requests.exceptions.InvalidURL):
        IssuerSession().get(url)


@pytest.mark.parametrize("host", PLATFORM_SPELLINGS)
def test_no_url_of_the_configuration_leads_to_a_cloud_s_own_services(
    settings: Any, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    settings.OIDC_ISSUER = f"http://{host}/"  # nor the issuer itself, by a name that somebody else changed
    monkeypatch.setattr(requests.Session, "request", lambda *_, **__: pytest.fail("it was sent"))
    for scheme in ("https", "http"):
        with pytest.raises(requests.exceptions.InvalidURL):
            IssuerSession().get(f"{scheme}://{host}/")


def test_no_name_of_the_configuration_leads_to_a_cloud_s_own_services(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", ("10.1.2.3", 443)), (0, 0, 0, "", ("169.254.169.254", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(requests.Session, "request", lambda *_, **__: pytest.fail("it was sent"))
    with pytest.raises(requests.exceptions.InvalidURL):
        IssuerSession().get("https://keys.issuer.example/jwks")


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254\\@keys.issuer.example/jwks",
        "https://169.254.169.254\\.keys.issuer.example/",
        "https://keys.issuer.example@169.254.169.254/",
        "https://%31%36%39.254.169.254/",
        "https://169.254.169.254?@keys.issuer.example/",
        "https://169.254.169.254#@keys.issuer.example/",
        "HTTPS://169.254.169.254:80/",
        " https://169.254.169.254/",
    ],
)
def test_the_host_that_is_checked_is_the_one_that_is_sent_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *args, **options: real(
            "192.0.2.1" if "issuer" in host else host, *args, **options
        )
    )  # fmt: skip
    monkeypatch.setattr(requests.Session, "request", lambda *_, **__: pytest.fail("it was sent"))
    with pytest.raises(requests.exceptions.InvalidURL):
        IssuerSession().get(url)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_elsewhere_once_it_was_checked_leads_nowhere(
    settings: Any, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        settings.OIDC_ISSUER = f"{scheme}://issuer.example:{server.getsockname()[1]}"
        answers = iter(["10.1.2.3", "127.0.0.1"])
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, port, *_, **__: [(socket.AF_INET, 1, 6, "", (next(answers), port))]
        )
        monkeypatch.setattr(issuer_session, "is_platform", lambda address: address == "127.0.0.1")
        with pytest.raises(requests.ConnectionError, match="a cloud's service"):
            IssuerSession().get(settings.OIDC_ISSUER)
        with server.accept()[0] as connected:
            assert connected.recv(1) == b""


def test_while_the_issuer_hangs_most_sign_ins_fail_at_once_and_threads_stay_free(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        assert issuer_session._at_once.acquire(timeout=30)  # what the tests before left behind has ended
    issuer_session._at_once.release(4)
    monkeypatch.setattr(issuer_session, "_WAIT_SECONDS", 0.01)
    released, waiting = threading.Event(), threading.Semaphore(0)

    def hang(handler: BaseHTTPRequestHandler) -> None:
        waiting.release()
        released.wait(10)

    url = served(hang)

    def ask() -> None:
        with pytest.raises(requests.RequestException):
            IssuerSession().get(url)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert waiting.acquire(timeout=10)
    began = time.monotonic()
    with pytest.raises(requests.Timeout):
        IssuerSession().get(url)
    assert time.monotonic() - began < 1
    released.set()
    for thread in threads:
        thread.join()
