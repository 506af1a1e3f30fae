"""Every URL is in the permission table, and the table is enforced for every role."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve, reverse

from accounts.models.tokens import LOWEST_ROLE
from accounts.roles import Role
from accounts.tokens import TokenScope
from portal.access import TABLE, Open, Who

pytestmark = [pytest.mark.services, pytest.mark.django_db]

SAMPLE_ARGUMENTS: dict[str, Any] = {
    "int": 999_999,
    "uuid": uuid.UUID(int=1),
    "slug": "none",
    "str": "none",
    "path": "x",
}


SIGN_IN_STEPS = {"account_login", "mfa_authenticate", "mfa_login_webauthn"}
"""Open to everybody, these redirect to the sign-in page where there is nothing to continue."""


def _patterns(resolver: URLResolver, namespace: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(view name, arguments that fit its path) of every URL."""
    for item in resolver.url_patterns:
        if isinstance(item, URLResolver):
            inner = f"{namespace}{item.namespace}:" if item.namespace else namespace
            yield from _patterns(item, inner)
        elif isinstance(item, URLPattern):
            yield f"{namespace}{item.name}", _arguments(item)


def _arguments(item: URLPattern) -> dict[str, Any]:
    kinds = {name: type(converter).__name__ for name, converter in item.pattern.converters.items()}
    return {
        name: SAMPLE_ARGUMENTS[kind.removesuffix("Converter").lower().replace("string", "str")]
        for name, kind in kinds.items()
    }


URLS = sorted(_patterns(get_resolver()), key=lambda pair: pair[0])
IDS = [name for name, _ in URLS]


def _call(client: Client, method: str, name: str, arguments: dict[str, Any]) -> HttpResponse:
    client.raise_request_exception = False
    url = reverse(name, kwargs=arguments)
    call = client.get if method == "GET" else getattr(client, _change_of(url))
    return call(url)  # type: ignore[return-value]


def _change_of(url: str) -> str:
    """POST, or for a view that does not know it, how else it changes something."""
    view = getattr(resolve(url).func, "view_class", None)
    return next((verb for verb in ("post", "put", "patch", "delete") if hasattr(view, verb)), "post")


def _is_refused(response: HttpResponse, *, signed_in: bool) -> bool:
    if response.status_code in {401, 405}:
        return True
    if response.status_code == 403:
        return True
    return not signed_in and response.status_code == 302 and "/sign-in/" in response["Location"]


def _lets(who: Who | None, role: Role | None) -> bool:
    if who is None:
        return False
    return who is Open.ANYONE or (isinstance(who, Role) and role is not None and role.includes(who))


def test_every_url_is_in_the_table() -> None:
    assert {name for name, _ in URLS} - set(TABLE) == set()


def test_the_table_names_only_existing_urls() -> None:
    assert set(TABLE) - {name for name, _ in URLS} == set()


def test_a_url_outside_the_table_is_not_found_for_every_role(
    owner: Any, client_of: Callable[[Any], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(TABLE, "accounts:users")
    assert client_of(owner).get(reverse("accounts:users")).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("name", "arguments"), URLS, ids=IDS)
def test_each_role_has_the_access_of_the_table(
    name: str,
    arguments: dict[str, Any],
    method: str,
    reader: Any,
    operator: Any,
    admin: Any,
    owner: Any,
    client_of: Callable[[Any], Client],
    queued: list[Any],
) -> None:
    who = TABLE[name].required(method)
    people: list[tuple[Role | None, Client]] = [(None, Client())]
    people += [(Role(person.role), client_of(person)) for person in (reader, operator, admin, owner)]
    for role, client in people:
        response = _call(client, method, name, arguments)
        if who is Open.SENSOR:
            assert response.status_code in {400, 401, 403, 413, 422}, (role, response.status_code)
        elif _lets(who, role):
            assert not _is_refused(response, signed_in=role is not None) or name in SIGN_IN_STEPS, role
            assert response.status_code < 500, (role, response.status_code)
        else:
            assert _is_refused(response, signed_in=role is not None), (role, response.status_code)


@pytest.mark.parametrize(("name", "arguments"), URLS, ids=IDS)
def test_a_token_may_send_a_call_with_its_scope_and_its_user_s_role_and_no_other(
    name: str, arguments: dict[str, Any], reader: Any, owner: Any, api_of: Callable[..., Client], queued: list[Any]
) -> None:
    access = TABLE[name]
    if not reverse(name, kwargs=arguments).startswith("/api/"):
        assert access.token is None, "tokens are accepted by the API only"
        return
    for method in ("GET", "POST"):
        who = access.required(method)
        if not isinstance(who, Role):
            continue
        scope = access.token_scope(method)
        assert scope, "without a scope no API client can call it"
        assert who.includes(LOWEST_ROLE[scope]), "a scope that is offered to lower roles than the call requires"
        for each in TokenScope:
            response = _call(api_of(owner, each), method, name, arguments)
            assert (response.status_code == 403) == (each != scope), (each, response.status_code)
            assert response.status_code < 500
        weak = _call(api_of(reader, *TokenScope), method, name, arguments)
        assert (weak.status_code == 403) == (who is not Role.READER)


def test_a_user_with_a_one_time_password_must_change_it_first(reader: Any, client_of: Callable[[Any], Client]) -> None:
    reader.must_change_password = True
    reader.save()
    response = client_of(reader).get(reverse("accounts:audit"))
    assert (response.status_code, response["Location"]) == (302, reverse("accounts:password"))


def test_a_closed_account_has_no_access(reader: Any, client_of: Callable[[Any], Client]) -> None:
    browser = client_of(reader)
    reader.is_active = False
    reader.save()
    assert "/sign-in/" in browser.get(reverse("accounts:audit"))["Location"]


def test_an_htmx_fragment_tells_the_page_of_a_signed_out_browser_that_its_session_ended() -> None:
    response = Client().get(reverse("accounts:audit"), headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Trigger"]) == (204, "session:ended")


def test_a_script_of_a_signed_out_browser_gets_401_and_never_the_sign_in_page() -> None:
    response = Client().get(reverse("alerts:values"), headers={"Sec-Fetch-Dest": "empty"})
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_a_form_without_csrf_token_is_rejected_with_the_site_s_own_page() -> None:
    """Django's own page has a style in it, which the content security policy refuses."""
    response = Client(enforce_csrf_checks=True).post("/sign-in/", {"username": "a", "password": "b"})
    assert response.status_code == 403
    assert "Reload the page" in response.content.decode()
    assert "<style" not in response.content.decode()
