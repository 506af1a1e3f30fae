"""Answers that come late: what was typed, chosen, pressed or opened meanwhile stays, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from drift.alerts.actions import triage
from drift.alerts.models import Alert, Status
from drift.notify.models import AlertRoute
from drift.policy.actions import drafts
from drift.policy.actions.proposals import propose_draft
from drift.policy.domain import edits
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.browser.held import Held
from tests.browser.rules import PAGE
from tests.browser.test_alerts_page import estate, send
from tests.browser.test_policy_failures import change_elsewhere
from tests.unit.drift.alerts.conftest import Estate

__all__ = ["estate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
NOT_DONE = "Not done: what was sent was rejected"


def test_a_late_refusal_of_a_resolution_leaves_the_comment_typed_since(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, "/alerts/")
    page.keyboard.press("j")
    page.keyboard.press("e")
    panel = page.get_by_role("dialog")
    held = Held(page, "**/alerts/status/")
    panel.get_by_role("button", name="Dismiss").click()  # without a resolution
    panel.get_by_label("Comment").fill("Typed since")
    held.release()

    expect(panel.get_by_role("alert")).to_contain_text(NOT_DONE)
    expect(panel.get_by_label("Comment")).to_have_value("Typed since")
    page.unroute_all()
    panel.get_by_label("Expected").check()
    panel.get_by_role("button", name="Dismiss").click()
    expect(panel).to_have_count(0)
    assert Alert.objects.get().activities.latest("id").text == "Typed since"


def test_what_was_typed_after_a_panel_was_sent_is_said_not_to_be_sent(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, "/alerts/")
    page.keyboard.press("j")
    page.keyboard.press("e")
    panel = page.get_by_role("dialog")
    panel.get_by_label("Expected").check()
    held = Held(page, "**/alerts/status/")
    panel.get_by_role("button", name="Dismiss").click()
    panel.get_by_label("Comment").fill("Typed since")
    held.release()

    expect(page.locator("#messages")).to_contain_text("1 alert set to Dismissed")
    expect(page.locator("#messages")).to_contain_text("What you typed in the panel after that was not sent.")


def test_a_late_conflict_leaves_the_action_chosen_since(open_as: Open, admin: Any, nine_rules: PolicyVersion) -> None:
    page = open_as(admin, PAGE)
    panel = page.get_by_role("dialog")
    page.get_by_role("link", name="Default binary drift rule").click()
    action = panel.get_by_label("Action")
    was = action.input_value()
    action.select_option("alert")
    change_elsewhere(admin, 0)
    held = Held(page, "**/settings/policy/default/")
    panel.get_by_role("button", name="Apply").click()
    action.select_option(was)
    held.release()

    expect(panel.get_by_role("alert").filter(has_text=NOT_DONE)).to_be_visible()
    expect(action).to_have_value(was)


def test_a_comment_on_a_proposal_leaves_what_else_is_typed_in_its_panel(
    open_as: Open, admin: Any, operator: Any, nine_rules: PolicyVersion
) -> None:
    state = draft_state(operator)
    drafts.change_draft(state, edits.set_enabled([state.document["rules"][0]["id"]], enabled=False))
    _, proposal = propose_draft(draft_state(operator))
    page = open_as(admin, f"{PAGE}proposals/{proposal.pk}/")
    panel = page.get_by_role("dialog")
    panel.get_by_label("Comment for declining").fill("Too wide")
    panel.get_by_label("Comment", exact=True).fill("Why?")
    held = Held(page, "**/comment/")
    panel.get_by_role("button", name="Add comment").click()
    panel.get_by_label("Comment on the version").fill("Typed since")
    held.release()

    expect(panel.locator(".comments")).to_contain_text("Why?")
    expect(panel.get_by_label("Comment", exact=True)).to_have_value("")
    expect(panel.get_by_label("Comment for declining")).to_have_value("Too wide")
    expect(panel.get_by_label("Comment on the version")).to_have_value("Typed since")
    expect(panel.get_by_label("Comment on the version")).to_be_focused()


def test_a_comment_is_kept_while_the_alert_is_changed_and_on_other_tabs(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, f"/alerts/{Alert.objects.get().pk}/?tab=timeline")
    comment = page.get_by_label("Comment", exact=True)
    comment.fill("Half written")
    page.locator("#alert-status summary").click()
    page.locator("#alert-status").get_by_role("button", name="In progress").click()
    expect(page.locator("#alert-status summary")).to_contain_text("In progress")
    expect(comment).to_have_value("Half written")
    tabs = page.get_by_role("navigation", name="Alert tabs")
    tabs.get_by_role("link", name="Why").click()
    expect(page.get_by_role("heading", name="Evaluated rules, in order")).to_be_visible()
    tabs.get_by_role("link", name="Timeline").click()
    expect(comment).to_have_value("Half written")

    held = Held(page, "**/comment/")
    page.get_by_role("button", name="Comment").click()
    comment.fill("The next one")
    held.release()

    expect(page.locator(".activities")).to_contain_text("Half written")
    expect(comment).to_have_value("The next one")
    page.unroute_all()
    page.get_by_role("button", name="Comment").click()
    expect(page.locator(".activities")).to_contain_text("The next one")
    expect(comment).to_have_value("")


def test_a_comment_that_is_stored_while_another_tab_is_open_does_not_come_back(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, f"/alerts/{Alert.objects.get().pk}/?tab=timeline")
    comment = page.get_by_label("Comment", exact=True)
    tabs = page.get_by_role("navigation", name="Alert tabs")
    held = Held(page, "**/comment/")
    comment.fill("Stored once")
    with page.expect_request("**/comment/"):
        page.get_by_role("button", name="Comment").click()
    tabs.get_by_role("link", name="Why").click()
    expect(page.get_by_role("heading", name="Evaluated rules, in order")).to_be_visible()
    with page.expect_response(lambda answer: "tab=why" in answer.url):  # the reload that follows the comment
        held.release()
    tabs.get_by_role("link", name="Timeline").click()

    expect(page.locator(".activities")).to_contain_text("Stored once")
    expect(comment).to_have_value("")


def test_an_alert_that_goes_on_keeps_its_folds_and_the_focus(estate: Estate, open_as: Open, reader: Any) -> None:
    send(estate, "/tmp/first")
    page = open_as(reader, f"/alerts/{Alert.objects.get().pk}/")
    image = page.locator("details.fold", has_text="Container image")
    image.locator("summary").click()
    expect(image.locator("summary")).to_be_focused()

    send(estate, "/tmp/first")

    expect(page.get_by_text("2 executions")).to_be_visible()
    expect(image.locator("dl")).to_be_visible()
    expect(image.locator("summary")).to_be_focused()


def test_a_button_that_an_answer_moves_while_it_is_pressed_is_pressed(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, f"/alerts/{Alert.objects.get().pk}/?tab=action")
    button = page.get_by_role("button", name="Dismiss alert")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.mouse.down()
    page.evaluate("document.querySelector('.tab').prepend(Object.assign(document.createElement('p'), { id: 'late' }))")
    page.evaluate("document.getElementById('late').textContent = 'An answer of several lines. '.repeat(99)")
    page.mouse.up()

    expect(page.get_by_role("dialog", name="Dismiss 1 alert")).to_be_visible()


def test_a_row_that_is_pressed_is_replaced_after_the_press(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, "/alerts/")
    alert = Alert.objects.get()
    box = page.get_by_label("Select alert")
    box.hover()
    page.mouse.down()
    triage.change_status(operator, {alert.pk: 1}, triage.StatusChange(Status.IN_PROGRESS))
    for _ in range(2):
        with page.expect_response("**/alerts/live/**"):
            pass
    page.mouse.up()

    expect(box).to_be_checked()
    expect(page.locator("#alerts tbody tr")).to_contain_text("In progress")
    expect(box).to_be_checked()


def test_a_form_that_is_sent_twice_is_stored_once(estate: Estate, open_as: Open, admin: Any) -> None:
    page = open_as(admin, "/notifications/routes/")
    page.get_by_role("textbox", name="Name").fill("Miners")
    page.get_by_label("Alerts that match").fill("severity:high")
    page.get_by_label("Email addresses").fill("team@example.com")
    page.get_by_role("textbox", name="Name").focus()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    held: list[Route] = []
    page.route(
        "**/notifications/routes/",
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    with page.expect_request("**/notifications/routes/"):
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    held[0].continue_()

    expect(page.locator("#messages")).to_contain_text("Route Miners added")
    assert sent.count("POST") == 1
    assert AlertRoute.objects.count() == 1
