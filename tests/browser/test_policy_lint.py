"""Values that never match, in the rule panel of a real browser: found while typing, mended by one click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.policy.models import PolicyVersion
from tests.browser.rules import PAGE, fill_picture_five

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_what_was_meant_is_taken_by_one_click_or_key_and_nothing_typed_is_lost(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("button", name="Add rule").click()
    panel = page.get_by_role("dialog", name="Add new containers binary drift rule")
    fill_picture_five(page)
    panel.get_by_label("Rule name").fill("Other rule")
    value = panel.get_by_label("Value", exact=True).first
    value.fill("docker://nginx")
    panel.locator("[data-entry] input").first.fill("/opt/app/*")
    expect(panel.get_by_text("A scheme is not part of the value.")).to_be_visible()
    expect(panel.get_by_text("Wildcards are compared as they are")).to_be_visible()
    expect(panel.locator("#apply")).to_be_disabled()

    panel.get_by_role("button", name="Use Starts with “nginx”").focus()
    page.keyboard.press("Enter")
    expect(panel.get_by_label("Value", exact=True).first).to_have_value("nginx")
    expect(panel.get_by_label("Value", exact=True).first).to_be_focused()
    expect(panel.locator("#apply")).to_be_enabled()
    panel.get_by_role("button", name="Use glob:/opt/app/*").click()
    expect(panel.locator("[data-entry] input").first).to_have_value("glob:/opt/app/*")
    expect(panel.get_by_label("Rule name")).to_have_value("Other rule")

    page.once("dialog", lambda dialog: dialog.dismiss())
    page.keyboard.press("Escape")
    expect(panel).to_be_visible()
    panel.locator("#apply").click()
    expect(panel).to_have_count(0)


def test_the_list_marks_a_rule_with_a_value_to_check_and_the_mark_opens_it(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 2", exact=True).click()
    panel = page.get_by_role("dialog", name="Edit binary drift Rule")
    panel.locator("[data-entry] input").last.fill("python3 app.py")
    expect(panel.get_by_text("A command's arguments are not part of a file's name.")).to_be_visible()
    panel.locator("#apply").click()
    expect(panel).to_have_count(0)
    page.get_by_role("button", name="1 value to check").click()
    expect(panel.get_by_role("button", name="Use python3")).to_be_visible()
