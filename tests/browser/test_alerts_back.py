"""Back shows whole pages, whatever htmx requested at their address, with the browser's page cache and without."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType, Page, expect

from drift.alerts.actions import triage
from drift.alerts.models import Alert, Status
from tests.browser.test_alerts_page import estate, send
from tests.browser.test_kept_pages import KEPT, back, storable
from tests.unit.drift.alerts.conftest import Estate

__all__ = ["estate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
USER_KNOWN_LATE = """
    const fetchNow = window.fetch
    window.fetch = async (url, options) => {
        if (String(url).includes("/session/")) await new Promise((then) => setTimeout(then, 4000))
        return fetchNow(url, options)
    }
    0  // a function would be called
"""


@pytest.fixture(params=["page cache", "no page cache"])
def browser(
    request: pytest.FixtureRequest, browser_type: BrowserType, browser_type_launch_args: dict[str, Any]
) -> Iterator[Browser]:
    """A browser that may keep left pages alive, and one that requests each of them again."""
    options = dict(browser_type_launch_args)
    if request.param == "page cache":
        options["ignore_default_args"] = ["--disable-back-forward-cache"]
        options["args"] = [*options["args"], "--enable-features=CacheControlNoStoreEnterBackForwardCache"]
    found = browser_type.launch(**options)
    yield found
    found.close()


def dismiss(page: Page) -> None:
    page.get_by_label("Select alert").first.check()
    page.locator("#change-status > summary").click()
    page.get_by_role("button", name="Dismissed").click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Expected").check()
    panel.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("1 alert set to Dismissed")).to_be_visible()


def sort(page: Page) -> None:
    page.locator("#sort-name").click()
    expect(page).to_have_url(re.compile("sort=name"))


def search(page: Page) -> None:
    page.get_by_label("Search by ID").fill("tool")
    expect(page).to_have_url(re.compile("q=tool"))


def refresh(page: Page) -> None:
    with page.expect_response(lambda answer: answer.url.endswith("/alerts/")):
        page.get_by_role("link", name="Refresh").click()


def group(page: Page) -> None:
    page.get_by_label("Grouping").select_option("cluster")
    expect(page).to_have_url(re.compile("group=cluster"))
    page.get_by_role("link", name="blue").click()
    expect(page.locator("#filter-cluster")).to_be_visible()


def turn_the_page(page: Page) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Next").click()
    expect(page).to_have_url(re.compile("after="))


@pytest.mark.parametrize("act", [dismiss, sort, search, refresh, group, turn_the_page])
def test_back_from_an_alert_shows_the_whole_list(
    estate: Estate, open_as: Open, operator: Any, act: Callable[[Page], None]
) -> None:
    send(estate, *(f"/opt/tool-{number}" for number in range(60)))
    page = open_as(operator, "/alerts/")
    before = page.url
    act(page)
    address = page.url

    page.locator("#alerts tbody tr .alert-name a").first.click()
    expect(page.get_by_role("heading", name="General information")).to_be_visible()
    page.go_back()

    expect(page).to_have_url(address)
    assert_whole(page)
    if address != before:
        page.go_back()  # within the page: htmx has no copy of it
        assert_whole(page)


def test_back_from_a_tab_shows_the_whole_alert(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, f"/alerts/{Alert.objects.get().pk}/")
    page.get_by_role("navigation", name="Alert tabs").get_by_role("link", name="Timeline").click()
    expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    page.get_by_role("link", name="Security alerts").click()
    expect(page.locator("#alerts")).to_be_visible()

    page.go_back()

    expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    assert_whole(page)
    page.go_back()
    expect(page.get_by_role("heading", name="General information")).to_be_visible()
    assert_whole(page)


def test_back_shows_what_happened_meanwhile(estate: Estate, open_as: Open, operator: Any, admin: Any) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(operator, "/alerts/")
    page.locator("#alerts tbody tr .alert-name a").first.click()
    expect(page.get_by_role("heading", name="General information")).to_be_visible()
    triage.change_status(admin, {Alert.objects.earliest("pk").pk: 1}, triage.StatusChange(Status.IN_PROGRESS))

    page.go_back()

    expect(page.locator("#alerts tbody tr", has=page.get_by_title("/tmp/first"))).to_contain_text("In progress")


def test_back_to_a_noise_budget_that_is_followed_shows_the_whole_page(
    estate: Estate, open_as: Open, operator: Any, queued: list[Any]
) -> None:
    page = open_as(operator, "/settings/policy/noise-budgets/")
    page.get_by_label("No more than").fill("1")
    page.get_by_role("button", name="Find a plan").click()
    expect(page.get_by_role("progressbar", name="Progress of the noise budget")).to_be_visible()
    address = page.url
    with page.expect_response(lambda answer: answer.url == address):
        pass  # what the page asks for at its own address while it is open
    page.goto(page.url.split("/settings/")[0] + "/alerts/")

    page.go_back()

    expect(page.get_by_role("progressbar", name="Progress of the noise budget")).to_be_visible()
    assert_whole(page)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/notifications/routes/", "Alert routes"),
        ("/settings/onboarding/", "Sensor onboarding"),
        ("/settings/policy/noise-budgets/", "Noise budget"),
        ("/alerts/suppression/report/", "What was hidden"),
    ],
)
def test_back_to_a_page_shows_the_whole_page(
    estate: Estate, open_as: Open, owner: Any, address: str, shown: str
) -> None:
    page = open_as(owner, address)
    expect(page.locator("h1")).to_contain_text(shown)
    page.goto(page.url.removesuffix(address) + "/alerts/")
    expect(page.locator("#alerts")).to_be_visible()

    page.go_back()

    expect(page.locator("h1")).to_contain_text(shown)
    assert_whole(page)


def open_second(page: Page, before: str, admin: Any) -> tuple[int, str]:
    """Open the list's second alert by keys, after a script in a list that the browser may keep, and have another alert
    changed meanwhile. Returns that one's number, and the id of the row that had the focus."""
    page.route("**/*", storable)
    page.reload()
    page.evaluate(before)
    page.keyboard.press("j")
    page.keyboard.press("j")
    row = str(page.locator("tr:focus-within").get_attribute("id"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="General information")).to_be_visible()
    other = Alert.objects.exclude(pk=int(row.removeprefix("alert-"))).earliest("pk")
    triage.change_status(admin, {other.pk: 1}, triage.StatusChange(Status.IN_PROGRESS))
    return other.pk, row


def test_back_returns_the_focus_to_a_list_that_shows_what_happened_meanwhile(
    estate: Estate, open_as: Open, operator: Any, admin: Any, request: pytest.FixtureRequest
) -> None:
    send(estate, "/tmp/first", "/tmp/second", "/tmp/third")
    page = open_as(operator, "/alerts/")
    other, row = open_second(page, "window.isKept = true", admin)

    back(page)

    expect(page.locator(f"#alert-{other}")).to_contain_text("In progress")
    expect(page.locator("tr:focus-within")).to_have_attribute("id", row)
    assert page.evaluate(KEPT) == (request.node.callspec.params["browser"] == "page cache")
    page.unroute_all(behavior="ignoreErrors")


def test_back_returns_the_focus_where_the_list_changes_before_the_user_is_known(
    estate: Estate, open_as: Open, operator: Any, admin: Any
) -> None:
    send(estate, "/tmp/first", "/tmp/second", "/tmp/third")
    page = open_as(operator, "/alerts/")
    other, row = open_second(page, USER_KNOWN_LATE, admin)

    back(page)

    expect(page.locator(f"#alert-{other}")).to_contain_text("In progress")
    expect(page.locator("tr:focus-within")).to_have_attribute("id", row)
    page.unroute_all(behavior="ignoreErrors")


def test_back_to_any_page_shows_it_as_it_is_now(estate: Estate, open_as: Open, owner: Any) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    incident = Alert.objects.earliest("pk").incident_id
    page = open_as(owner, "/alerts/charts/")
    site = page.url.removesuffix("/alerts/charts/")
    for path in (
        f"/alerts/incidents/{incident}/", "/alerts/suppression/", "/alerts/suppression/report/", "/alerts/known-files/",
        "/audit/", "/users/", "/tokens/", "/notifications/", "/alerts/charts/",
    ):  # fmt: skip
        page.goto(site + path)
        page.evaluate("window.isLeft = true")
        page.goto(f"{site}/alerts/")

        page.go_back()

        page.wait_for_function("window.isLeft === undefined")
        assert_whole(page)


def test_back_never_shows_the_page_of_who_was_signed_in_before(
    estate: Estate,
    open_as: Open,
    owner: Any,
    reader: Any,
    client_of: Callable[[Any], Any],
    complaints: list[str],
) -> None:
    page = open_as(owner, "/users/")
    site = page.url.removesuffix("/users/")
    page.goto(f"{site}/alerts/")
    page.context.clear_cookies()
    page.go_back()
    expect(page).to_have_url(re.compile("/sign-in/"))

    session = client_of(owner).cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": site}])
    page.goto(f"{site}/audit/")
    expect(page.locator(".topbar")).to_contain_text("Owner")
    page.goto(f"{site}/alerts/")
    session = client_of(reader).cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": site}])
    page.go_back()
    expect(page.locator(".topbar")).to_contain_text("Reader")
    complaints.clear()  # the reader has no audit log


def assert_whole(page: Page) -> None:
    """Assert that the page has its styles, heading and scripts: a part of it has none."""
    expect(page.locator(".topbar")).to_be_visible()
    expect(page.locator("h1")).to_be_visible()
    assert page.evaluate("document.styleSheets.length") > 1
    assert page.evaluate("typeof window.htmx") == "object"
