"""Every URL is in the permission table, which is enforced before any view; its cells are in test_access_pages.py."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.models.tokens import LOWEST_ROLE
from accounts.roles import Role
from portal.access import TABLE

pytestmark = [pytest.mark.services, pytest.mark.django_db]

SAMPLE_ARGUMENTS: dict[str, Any] = {
    "int": 999_999,
    "uuid": uuid.UUID(int=1),
    "slug": "none",
    "str": "none",
    "path": "x",
}


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


def test_every_url_is_in_the_table() -> None:
    assert {name for name, _ in URLS} - set(TABLE) == set()


def test_the_table_names_only_existing_urls() -> None:
    assert set(TABLE) - {name for name, _ in URLS} == set()


def test_a_url_outside_the_table_is_not_found_for_every_role(
    owner: Any, client_of: Callable[[Any], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(TABLE, "accounts:users")
    assert client_of(owner).get(reverse("accounts:users")).status_code == 404


@pytest.mark.parametrize(("name", "arguments"), URLS, ids=IDS)
def test_a_token_scope_suits_the_role_that_a_call_requires(name: str, arguments: dict[str, Any]) -> None:
    """What each caller gets is in the cells of the table: test_access_pages.py, test_access_api.py."""
    access = TABLE[name]
    if not reverse(name, kwargs=arguments).startswith("/api/"):
        assert access.token is None, "tokens are accepted by the API only"
        return
    for method in ("GET", "POST"):
        who = access.required(method)
        if isinstance(who, Role):
            scope = access.token_scope(method)
            assert scope, "without a scope no API client can call it"
            assert who.includes(LOWEST_ROLE[scope]), "a scope that is offered to lower roles than the call requires"


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
