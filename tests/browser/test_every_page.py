"""Every page in a real browser, without any data: axe finds nothing, no id stands twice, no field is too narrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.urls import reverse
from django.urls.exceptions import NoReverseMatch
from playwright.sync_api import Page

from portal.access import TABLE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def pages(client: Client) -> list[str]:
    """The paths that a signed-in user can open, need no argument and show a whole page: no part, download or API."""
    found = []
    for name in TABLE:
        try:
            path = reverse(name)
        except NoReverseMatch:
            continue
        response = client.get(path)
        if not response.streaming and b'<main class="page"' in response.content and response.status_code == 200:
            found.append(path)
    return found


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    open_as: Callable[..., Page], owner: Any, client_of: Callable[[Any], Client], live_server: Any, colours: str
) -> None:
    client = client_of(owner)
    paths = pages(client)
    assert {"/alerts/", "/users/", "/settings/environments/"} <= set(paths)
    page = open_as(owner, paths[0], color_scheme=colours)
    violations = []
    for path in paths:
        page.goto(live_server.url + path)
        violations += [f"{path} {each['id']}: {each['help']}" for each in Axe().run(page).response["violations"]]
    assert violations == []


FAULTS = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `${id} twice`);
  const fields = [...document.querySelectorAll("input.input, select.input, textarea.input")];
  const narrow = fields.filter((each) => each.offsetWidth > 0 && each.offsetWidth < 60);
  return [...twice, ...narrow.map((each) => `${each.name} is ${each.offsetWidth} px wide`)];
}"""


@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_has_an_id_twice_or_a_field_too_narrow_to_use(
    open_as: Callable[..., Page], owner: Any, client_of: Callable[[Any], Client], live_server: Any, width: int
) -> None:
    paths = pages(client_of(owner))
    page = open_as(owner, paths[0])
    page.set_viewport_size({"width": width, "height": 900})
    faults = []
    for path in paths:
        page.goto(live_server.url + path)
        faults += [f"{path} {each}" for each in page.evaluate(FAULTS)]
    assert faults == []
