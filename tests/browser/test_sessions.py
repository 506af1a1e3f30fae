"""Sessions in a real browser: the list, the warning, and what was typed when a session has ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache
from playwright.sync_api import Page, Route, expect

from accounts.models import Session
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
FOCUS = "window.dispatchEvent(new Event('focus'))"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def _sign_in(page: Page, email: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


@pytest.mark.parametrize("viewport", [{"width": 1440, "height": 900}, {"width": 390, "height": 844}])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_list_of_sessions_is_accessible(open_as: Open, reader: Any, colours: str, viewport: dict[str, int]) -> None:
    open_as(reader, "/sessions/")
    page = open_as(reader, "/sessions/", color_scheme=colours, viewport=viewport)
    expect(page.get_by_role("row")).to_have_count(3)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.get_by_role("button", name="End all other sessions").click()
    expect(page.get_by_text("1 other session ended.")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)


def test_the_page_warns_before_the_session_ends_and_can_prolong_it(open_as: Open, reader: Any, settings: Any) -> None:
    settings.SESSION_IDLE_SECONDS = 100
    page = open_as(reader, "/tokens/")
    bar = page.get_by_role("alert")
    page.evaluate("document.dispatchEvent(new Event('session:ended'))")
    expect(bar).to_contain_text("You will be signed out at")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    settings.SESSION_IDLE_SECONDS = 3600
    bar.get_by_role("button", name="Stay signed in").click()
    expect(bar).to_be_hidden()


def test_a_page_without_input_goes_to_the_sign_in_when_the_session_has_ended(open_as: Open, reader: Any) -> None:
    page = open_as(reader, "/tokens/")
    Session.objects.all().delete()
    page.evaluate("document.dispatchEvent(new Event('session:ended'))")
    page.wait_for_url("**/sign-in/?next=%2Ftokens%2F")


def test_what_was_typed_can_be_sent_after_signing_in_again_elsewhere(open_as: Open, reader: Any) -> None:
    page = open_as(reader, "/tokens/", viewport={"width": 390, "height": 844})
    page.get_by_label("Name").fill("typed before the end")
    page.get_by_label("read: see alerts").check()
    Session.objects.all().delete()
    page.evaluate("document.dispatchEvent(new Event('session:ended'))")
    bar = page.get_by_role("alert")
    expect(bar).to_contain_text("What you typed is still here")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    with page.expect_popup() as popup:
        bar.get_by_role("link", name="Sign in").click()
    _sign_in(popup.value, reader.email)
    expect(popup.value.get_by_role("heading", name="API tokens")).to_be_visible()
    page.evaluate(FOCUS)
    expect(bar).to_be_hidden()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("cell", name="typed before the end", exact=True)).to_be_visible()


def test_what_was_typed_is_not_sent_as_somebody_else(open_as: Open, reader: Any, operator: Any) -> None:
    page = open_as(reader, "/tokens/")
    page.get_by_label("Name").fill("the reader's")
    Session.objects.all().delete()
    page.evaluate("document.dispatchEvent(new Event('session:ended'))")
    bar = page.get_by_role("alert")
    with page.expect_popup() as popup:
        bar.get_by_role("link", name="Sign in").click()
    _sign_in(popup.value, operator.email)
    expect(popup.value.get_by_role("heading", name="API tokens")).to_be_visible()
    page.evaluate(FOCUS)
    expect(bar).to_contain_text("Somebody else has signed in")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_label("Name")).to_have_value("the reader's")
    assert not operator.tokens.exists() and not reader.tokens.exists()


def test_input_in_an_open_panel_outlives_the_session(open_as: Open, admin: Any) -> None:
    page = open_as(admin, "/settings/policy/")
    page.get_by_role("link", name="Alert on Kube-System namespace", exact=True).click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Rule name").fill("Renamed at length")
    Session.objects.all().delete()
    expect(page.get_by_text("What you typed is still here")).to_be_visible()  # a poll finds out
    expect(panel.get_by_label("Rule name")).to_have_value("Renamed at length")
    expect(panel.get_by_role("link", name="Sign in")).to_be_visible()


def test_what_is_sent_while_the_portal_does_not_say_who_is_signed_in_is_kept_and_sent_again(
    open_as: Open, reader: Any, complaints: list[str]
) -> None:
    page = open_as(reader, "/sessions/")
    address = page.url.replace("/sessions/", "/tokens/")
    page.route(address, _ended)
    page.route("**/session/", lambda route: route.abort())
    page.goto(address)
    page.unroute(address)
    page.get_by_label("Name").fill("typed")
    page.get_by_label("read: see alerts").check()
    page.get_by_role("button", name="Create").click()

    expect(page.locator("#messages")).to_contain_text("Nothing was sent; try again.")
    assert not reader.tokens.exists()
    page.unroute("**/session/")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("cell", name="typed", exact=True)).to_be_visible()
    complaints.clear()


def _ended(route: Route) -> None:
    """Let the page believe that its session is over."""
    answer = route.fetch()
    route.fulfill(response=answer, body=re.sub(r'data-idle="\d+"', 'data-idle="0"', answer.text()))
