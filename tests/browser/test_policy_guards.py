"""Nothing dangerous by one click, nothing lost: undo, panels that ask, switches that say what they stop."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Dialog, Page, expect

from drift.fleet.actions import blocking_switch
from drift.fleet.models import Environment, FleetState
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from sensor.policy import KINDS
from tests.browser.rules import PAGE, expect_names, look, row
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NINE = [f"Rule {number}" for number in range(1, 10)]


class Answers:
    """Answers the browser's questions in turn, and counts them."""

    def __init__(self, page: Page, *accepted: bool) -> None:
        self.asked: list[str] = []
        self._accepted = list(accepted)
        page.on("dialog", self._answer)

    def _answer(self, dialog: Dialog) -> None:
        self.asked.append(dialog.type)
        if self._accepted.pop(0):
            dialog.accept()
        else:
            dialog.dismiss()


def test_deleted_and_discarded_changes_come_back_by_the_toast_and_by_ctrl_z(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    row(page, "Rule 1").get_by_role("checkbox").check()
    row(page, "Rule 2").get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete rule").click()
    toast = page.locator(".toast")
    expect(toast).to_contain_text("2 rules deleted")
    look(page, "toast")
    page.get_by_role("button", name="Discard").click()
    expect(toast).to_contain_text("Changes discarded")
    toast.get_by_role("button", name="Undo").click()
    expect_names(page, *NINE[2:])
    expect(toast).to_have_count(0)
    page.get_by_label("Comment on this version").fill("text")
    page.keyboard.press("Control+z")
    expect_names(page, *NINE[2:])
    page.locator("#main").focus()
    page.keyboard.press("Control+z")
    expect_names(page, *NINE)
    page.keyboard.press("Control+z")
    expect(page.locator("#status")).to_have_text("Nothing to undo")


def test_a_panel_in_which_nothing_is_typed_closes_without_a_question_after_the_token_was_replaced(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    answers = Answers(page, True)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    token = page.locator("#panel input[name=csrfmiddlewaretoken]")
    before = token.input_value()
    page.evaluate("document.dispatchEvent(new Event('session:ended'))")  # the session is looked up, and goes on
    expect(token).not_to_have_value(before)

    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)
    assert answers.asked == []


def test_a_half_typed_rule_is_kept_until_its_loss_is_confirmed(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    answers = Answers(page, False, False, True)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    typed = page.get_by_label("Scope description")
    typed.fill("Half typed")
    page.go_back(wait_until="commit")
    expect(typed).to_have_value("Half typed")
    page.evaluate("setTimeout(() => location.reload())")
    page.wait_for_function("() => true")
    expect(typed).to_have_value("Half typed")
    page.go_back(wait_until="commit")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect_names(page, *NINE)
    assert answers.asked == ["confirm", "beforeunload", "confirm"]


BLUR_LATE = """() => addEventListener("popstate", () => setTimeout(() => {
  document.activeElement.blur();
  window.wasBlurred = true;
}, 100), { once: true })"""
"""Takes the focus away after Back, as a busy browser does at the end of the navigation."""


def test_back_closes_an_untouched_panel_and_then_leaves_the_page(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, "/settings/policy/versions/")
    page.get_by_role("link", name="Binary drift policy").first.click()
    expect_names(page, *NINE)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate(BLUR_LATE)
    page.go_back(wait_until="commit")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.wait_for_function("() => window.wasBlurred")
    expect(page.get_by_role("link", name="Rule 5", exact=True)).to_be_focused()
    page.get_by_role("link", name="Rule 6", exact=True).click()
    page.get_by_role("dialog").get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.wait_for_function("() => !history.state?.panel")
    page.go_back()
    expect(page).to_have_url(re.compile(r"/versions/$"))


def test_a_policy_that_detects_nothing_is_saved_by_typing_so(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_label("More commands").click()
    page.get_by_role("link", name="Detection kinds").click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("checkbox")).to_have_count(len(KINDS))
    expect(panel.locator(".kind-off").first).to_be_hidden()
    for box in panel.get_by_role("checkbox").all():
        box.uncheck()
    expect(panel.get_by_text("Nothing is selected")).to_be_visible()
    expect(panel.locator(".kind-off").first).to_be_visible()
    look(page, "detect-nothing-panel")
    panel.get_by_role("button", name="Apply").click()
    expect(page.locator("#detection-note")).to_contain_text("Detection is off")
    page.locator("#save").click()
    phrase = page.get_by_label("Type detect nothing to save it")
    expect(phrase).to_be_visible()
    look(page, "detect-nothing")
    phrase.fill("detect nothing")
    page.get_by_role("button", name="Save a policy that detects nothing").click()
    expect(page.get_by_text("Saved as v3")).to_be_visible()
    assert draft_state(admin).base.document["detect"] == []


def test_switching_an_environment_off_says_what_it_stops_and_is_undone(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    cluster = estate.cluster(estate.environment("aws", "7", name="Payments"))
    estate.sensor(cluster)
    page = open_as(admin, "/settings/environments/")
    switch = page.get_by_role("switch", name="Sensor in Payments")
    switch.focus()
    page.keyboard.press("Space")
    panel = page.get_by_role("dialog")
    expect(panel).to_contain_text("1 sensor in 1 cluster will no longer protect anything")
    look(page, "switch-off-panel")
    page.keyboard.press("Escape")
    expect(switch).to_be_checked()
    switch.click()
    panel.get_by_role("button", name="Switch off").click()
    expect(switch).not_to_be_checked()
    expect(page.locator("#switched-off")).to_contain_text("1 sensor is not protected")
    expect(page.locator("tr.environment", has_text="Payments")).to_contain_text("Not protected")
    look(page, "switched-off")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(switch).to_be_checked()
    expect(page.locator("#switched-off")).to_have_count(0)
    assert Environment.objects.get(pk=cluster.environment_id).sensor_enabled is True


def test_blocking_is_stopped_with_a_reason_that_the_policy_page_and_the_panel_show(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, "/settings/environments/")
    page.get_by_role("link", name="Stop all blocking").click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_label("Reason")).to_be_focused()
    expect(panel).to_contain_text("0 of 0 workloads")
    panel.get_by_label("Reason").fill("Incident 12")
    look(page, "stop-all-blocking")
    panel.get_by_role("button", name="Stop all blocking").click()
    expect(page.get_by_text("All blocking was stopped.")).to_be_visible()
    assert FleetState.objects.get().blocking_reason == "Incident 12"
    page.goto(page.url.replace("environments/", "policy/"))
    expect(page.locator("#protection")).to_contain_text("All blocking is stopped")
    page.get_by_role("link", name="Rule 1", exact=True).click()
    page.get_by_label("Action").select_option(label="Drift detection blocking")
    expect(page.get_by_role("dialog")).to_contain_text("This rule will only alert until it is resumed")
    look(page, "block-panel-while-stopped")
    blocking_switch.resume_blocking(admin)


def test_a_half_typed_environment_is_kept_until_its_loss_is_confirmed_also_on_a_filtered_page(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    estate.environment("aws", "7", name="Payments")
    page = open_as(admin, "/settings/environments/")
    page.locator("#list-tools select").first.select_option("aws")
    expect(page).to_have_url(re.compile(r"cloud=aws"))
    answers = Answers(page, False, False, True)
    page.evaluate("window.isTheSamePage = true")
    page.get_by_text("Add environment").click()
    page.get_by_role("link", name="GCP project").click()
    typed = page.get_by_label("Account id")
    typed.fill("half-typed")
    page.keyboard.press("Escape")
    page.go_back(wait_until="commit")
    expect(typed).to_have_value("half-typed")
    page.go_back(wait_until="commit")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.wait_for_function("() => !history.state?.panel")
    assert page.evaluate("window.isTheSamePage") is True
    assert answers.asked == ["confirm", "confirm", "confirm"]
