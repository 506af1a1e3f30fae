"""A portal that refuses, fails or cannot be reached: the page says so, keeps what was typed, and does nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from drift.alerts.actions import triage
from drift.alerts.models import Alert, Resolution, Status
from tests.browser.test_alerts_page import estate, send, violations
from tests.unit.drift.alerts.conftest import Estate

__all__ = ["estate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
FAILURES: dict[str, tuple[Callable[[Route], None], str]] = {
    "lost": (lambda route: route.abort(), "Check whether the change was made."),
    "proxy": (lambda route: route.fulfill(status=503), "Check whether the change was made."),
    "proxy 403": (lambda route: route.fulfill(status=403), "Check whether the change was made."),
    "portal": (lambda route: route.fulfill(status=500, headers={"Vary": "HX-Request"}), "Nothing was changed."),
    "maintenance": (lambda route: route.fulfill(body="<h1>Back soon</h1>"), "Something other than the portal"),
}


@pytest.fixture(params=list(FAILURES))
def failure(request: pytest.FixtureRequest) -> tuple[Callable[[Route], None], str]:
    return FAILURES[request.param]


def page_with_a_held_change(estate: Estate, open_as: Open, user: Any) -> tuple[Page, list[Route]]:
    """Return the list of two alerts, and the request that dismisses the first by key and is not answered yet."""
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(user, "/alerts/")
    held: list[Route] = []
    page.route("**/alerts/status/", lambda route: held.append(route), times=1)  # noqa: PLW0108 - not a built-in
    press(page, "j", "e")
    expect(page.get_by_role("dialog")).to_be_visible()
    with page.expect_request("**/alerts/status/"):
        press(page, "1", "Enter")
    return page, held


def test_the_panel_shows_why_it_was_not_applied_and_applies_it_once_that_is_over(
    estate: Estate,
    open_as: Open,
    operator: Any,
    complaints: list[str],
    failure: tuple[Callable[[Route], None], str],
) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, "/alerts/")
    page.keyboard.press("j")
    page.keyboard.press("e")
    panel = page.get_by_role("dialog")
    panel.get_by_label("Accepted risk").check()
    panel.get_by_label("Comment").fill("A long comment")
    answer, words = failure
    page.route("**/alerts/status/", answer, times=2)

    panel.get_by_role("button", name="Dismiss").click()
    expect(panel.get_by_role("alert")).to_contain_text(words)
    panel.get_by_role("button", name="Dismiss").click()

    expect(panel.get_by_role("alert")).to_have_count(1)
    expect(panel.get_by_role("alert")).to_be_in_viewport()
    expect(panel.get_by_label("Comment")).to_have_value("A long comment")
    assert violations(page) == []
    panel.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#messages")).to_contain_text("1 alert set to Dismissed")
    assert Alert.objects.get().activities.latest("id").text == "A long comment"
    complaints.clear()


def test_keys_for_the_next_alert_are_not_pressed_in_the_panel_of_one_that_failed(
    estate: Estate,
    open_as: Open,
    operator: Any,
    complaints: list[str],
    failure: tuple[Callable[[Route], None], str],
) -> None:
    page, held = page_with_a_held_change(estate, open_as, operator)

    press(page, "e", "2", "Enter")
    failure[0](held[0])

    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    ignored = expect(page.locator("#status"))
    ignored.to_have_text(
        "Keys pressed meanwhile are ignored.", timeout=15_000
    )  # at once, not when keyboard.js gives up
    expect(page.get_by_label("False positive")).to_be_checked()
    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}
    complaints.clear()


def test_a_poll_that_fails_does_not_end_the_wait_for_a_change(
    estate: Estate, open_as: Open, operator: Any, complaints: list[str]
) -> None:
    page, held = page_with_a_held_change(estate, open_as, operator)
    answers = [500]
    # Not `times=1`: the last handler that is used up would let go of the request that is held.
    page.route("**/bell/", lambda route: route.fulfill(status=answers.pop()) if answers else route.continue_())
    page.evaluate(
        """() => new Promise((done) => {
          document.addEventListener("htmx:responseError", () => done(), { once: true });
          const bell = document.getElementById("bell");
          bell.setAttribute("hx-trigger", "every 500ms");
          htmx.process(bell);
        })"""
    )

    press(page, "e", "2", "Enter")
    held[0].continue_()

    expect(page.get_by_role("heading", name="No open alerts")).to_be_visible()
    assert set(Alert.objects.values_list("verdict", flat=True)) == {"false_positive", "expected"}
    complaints.clear()


def test_an_undo_and_a_refresh_show_that_something_else_answered(
    estate: Estate, open_as: Open, operator: Any, complaints: list[str]
) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, "/alerts/")
    press(page, "j", "e", "1", "Enter")
    expect(page.get_by_role("heading", name="No open alerts")).to_be_visible()
    acts: list[tuple[str, Callable[[], None]]] = [
        ("**/alerts/undo/", lambda: press(page, "z")),
        (page.url, lambda: page.locator("[data-refresh]").click()),
    ]
    for path, act in acts:
        page.evaluate("document.getElementById('messages').replaceChildren()")
        page.route(path, lambda route: route.fulfill(body="<h1>Back soon</h1>"))
        act()
        expect(page.locator("#messages")).to_contain_text("Something other than the portal")
    page.evaluate("new Promise(requestAnimationFrame)")
    expect(page.locator("#status")).not_to_have_text("Refreshed")


def test_keys_for_the_next_alert_do_not_override_a_conflict(
    estate: Estate, open_as: Open, operator: Any, admin: Any
) -> None:
    page, held = page_with_a_held_change(estate, open_as, operator)
    pk = int(page.locator('#panel [name="alert"]').input_value().partition(":")[0])
    triage.change_status(admin, {pk: 1}, triage.StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE, "It mines"))

    press(page, "e", "2", "Enter")
    held[0].continue_()

    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("It mines")
    expect(page.locator("#status")).to_have_text("Keys pressed meanwhile are ignored.")
    assert Alert.objects.get(pk=pk).verdict == "true_positive"
    assert Alert.objects.filter(status="active").count() == 1


def test_an_undo_that_was_not_answered_can_be_repeated(
    estate: Estate, open_as: Open, operator: Any, complaints: list[str]
) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, "/alerts/")
    press(page, "j", "e", "1", "Enter")
    expect(page.get_by_role("heading", name="No open alerts")).to_be_visible()
    page.route("**/alerts/undo/", lambda route: route.abort(), times=2)
    for _ in range(2):  # by the button, then without it
        press(page, "z")
        expect(page.locator("#messages")).to_contain_text("cannot be reached")
        page.evaluate("document.getElementById('messages').replaceChildren()")

    press(page, "z")

    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    complaints.clear()


@pytest.mark.parametrize("answer", [FAILURES["lost"][0], FAILURES["maintenance"][0]], ids=["lost", "maintenance"])
@pytest.mark.parametrize("where", ["list", "alert"])
def test_a_page_that_is_not_kept_current_shows_since_when(
    estate: Estate,
    open_as: Open,
    reader: Any,
    complaints: list[str],
    where: str,
    answer: Callable[[Route], None],
) -> None:
    send(estate, "/tmp/first")
    path = "/alerts/" if where == "list" else f"/alerts/{Alert.objects.get().pk}/"
    page = open_as(reader, path)
    page.route("**/live/**", answer)
    page.evaluate("{ const now = Date.now; Date.now = () => now() + 11_000; }")

    expect(page.get_by_text("the portal does not answer")).to_contain_text("Not updated since")
    assert violations(page) == []
    page.unroute("**/live/**")
    expect(page.get_by_text("the portal does not answer")).to_have_count(0)
    complaints.clear()


def press(page: Page, *keys: str) -> None:
    page.wait_for_load_state()
    for key in keys:
        page.keyboard.press(key)
