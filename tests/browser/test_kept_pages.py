"""What somebody typed is not shown to who signs in next: by a page that was kept alive, or in fields filled again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserType, Page, Route, expect

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
KEPT = "() => window.isKept === true"
PATIENCE = "AbortSignal.timeout = () => (window.patience = new AbortController()).signal"
"""Lets requests run out of time only when the test says so."""


@pytest.fixture
def sign_in(client_of: Callable[[Any], Any], live_server: Any) -> Callable[[Page, Any], None]:
    def give(page: Page, user: Any) -> None:
        session = client_of(user).cookies["sessionid"].value
        page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])

    return give


@pytest.fixture
def kept(
    browser_type: BrowserType, browser_type_launch_args: dict[str, Any], live_server: Any, reader: Any, sign_in: Any
) -> Iterator[Page]:
    """The reader's page with something typed, left for another one, in a browser that keeps it alive.

    Chromium keeps no page that the portal forbids to store; others do.
    """
    given = {**browser_type_launch_args, "ignore_default_args": ["--disable-back-forward-cache"]}
    browser = browser_type.launch(**given)
    page = browser.new_page()
    page.route("**/*", storable)
    sign_in(page, reader)
    page.goto(f"{live_server.url}/tokens/")
    page.get_by_label("Name").fill("the reader's")
    page.evaluate("window.isKept = true")
    page.evaluate(PATIENCE)
    page.goto(f"{live_server.url}/sessions/")
    yield page
    page.unroute_all(behavior="ignoreErrors")
    browser.close()


def storable(route: Route) -> None:
    """Let the browser keep the page alive."""
    answer = route.fetch(max_redirects=0)
    route.fulfill(response=answer, headers={**answer.headers, "cache-control": "no-cache"})


def back(page: Page) -> None:
    """Without waiting for the page to load, which one that was kept does not."""
    page.evaluate("setTimeout(() => history.back())")


def test_a_page_that_was_kept_is_hidden_until_its_user_is_known_to_be_signed_in(kept: Page) -> None:
    kept.route("**/session/", lambda route: route.abort())
    back(kept)

    expect(kept.get_by_text("it is known who is signed in")).to_be_visible()
    assert kept.evaluate(KEPT)
    expect(kept.get_by_label("Name")).to_be_hidden()
    kept.unroute("**/session/")
    expect(kept.get_by_label("Name")).to_have_value("the reader's")
    expect(kept.get_by_label("Name")).to_be_visible()


def test_a_page_that_was_kept_says_that_it_waits_and_asks_again_while_the_portal_hangs(kept: Page) -> None:
    held: list[Route] = []
    kept.route("**/session/", lambda route: held.append(route))  # noqa: PLW0108 - not a built-in
    back(kept)

    expect(kept.get_by_text("it is known who is signed in")).to_be_visible()
    kept.unroute("**/session/")
    kept.evaluate("window.patience.abort()")
    expect(kept.get_by_label("Name")).to_be_visible()
    assert kept.evaluate(KEPT)
    assert held


def test_a_page_that_was_kept_keeps_the_focus(kept: Page) -> None:
    back(kept)

    expect(kept.get_by_label("Name")).to_be_visible()
    assert kept.evaluate(KEPT)
    expect(kept.get_by_label("Name")).to_be_focused()


def test_a_page_that_was_kept_is_loaded_anew_for_who_has_signed_in_since(
    kept: Page, operator: Any, sign_in: Any
) -> None:
    sign_in(kept, operator)
    back(kept)

    expect(kept.locator(".topbar")).to_contain_text("Operator")
    expect(kept.get_by_label("Name")).to_have_value("")
    assert not kept.evaluate(KEPT)


def test_fields_are_filled_in_again_for_who_typed_in_them_alone(
    open_as: Open, reader: Any, operator: Any, sign_in: Any
) -> None:
    page = open_as(reader, "/tokens/")
    other = page.url.replace("/tokens/", "/sessions/")
    page.get_by_label("Name").fill("the reader's")
    page.get_by_label("read: see alerts").check()
    page.goto(other)
    page.go_back()
    expect(page.get_by_label("Name")).to_have_value("the reader's")
    page.goto(other)
    sign_in(page, operator)

    page.go_back()

    expect(page.locator(".topbar")).to_contain_text("Operator")
    expect(page.get_by_label("Name")).to_have_value("")
    expect(page.get_by_label("read: see alerts")).not_to_be_checked()
    expect(page.get_by_label("Name")).to_be_visible()


def test_what_was_typed_while_the_page_was_still_read_is_shown_to_nobody_else(
    open_as: Open, reader: Any, operator: Any, sign_in: Any
) -> None:
    page = open_as(reader, "/sessions/")
    other = page.url
    address = other.replace("/sessions/", "/tokens/")
    page.route("**/stalled.js", lambda route: None)
    page.route(address, lambda route: _with(route, '<script src="/stalled.js"></script>'))
    page.goto(address, wait_until="commit")
    page.get_by_label("Name").fill("the reader's")
    page.goto(other)
    page.unroute(address)
    sign_in(page, operator)

    page.go_back()

    expect(page.locator(".topbar")).to_contain_text("Operator")
    expect(page.get_by_label("Name")).to_have_value("")


def _with(route: Route, element: str) -> None:
    """Put an element before the end of the page."""
    answer = route.fetch()
    mark = '<input id="typed-by"'
    assert mark in answer.text()
    route.fulfill(response=answer, body=answer.text().replace(mark, element + mark))


def test_a_page_is_shown_again_before_all_of_it_is_loaded_and_its_fields_after_a_stop(
    open_as: Open, reader: Any
) -> None:
    page = open_as(reader, "/tokens/")
    page.get_by_label("Name").fill("the reader's")
    page.goto(page.url.replace("/tokens/", "/sessions/"))
    page.route("**/session*.js", lambda route: None)

    page.go_back(wait_until="commit")

    expect(page.get_by_role("heading", name="API tokens")).to_be_visible()
    expect(page.get_by_label("Name")).to_be_hidden()
    page.evaluate("window.stop()")
    expect(page.get_by_label("Name")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("the reader's")


def test_fields_are_shown_again_to_their_user_while_a_picture_is_loaded(open_as: Open, reader: Any) -> None:
    page = open_as(reader, "/tokens/")
    address = page.url
    page.get_by_label("Name").fill("the reader's")
    page.goto(address.replace("/tokens/", "/sessions/"))
    page.route("**/stalled.svg", lambda route: None)
    page.route(address, lambda route: _with(route, '<img src="/static/stalled.svg" alt="">'))

    page.go_back(wait_until="commit")

    expect(page.get_by_label("Name")).to_have_value("the reader's")
    expect(page.get_by_label("Name")).to_be_visible()
    assert page.evaluate("document.readyState") == "interactive"
