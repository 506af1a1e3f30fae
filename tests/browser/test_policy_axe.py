"""axe on the policy page, its panels and its explanations, light and dark; with pictures to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from tests.browser.rules import PAGE, fill_picture_five, look, row
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


@SCHEMES
def test_axe_finds_nothing_on_the_page_and_the_panel_of_a_rule(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion, scheme: str
) -> None:
    page = open_as(admin, PAGE, color_scheme=scheme)
    expect(row(page, "Rule 1")).to_contain_text("Never matched")
    look(page, f"list-{scheme}")
    row(page, "Rule 2").locator(".handle").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#save")).to_be_enabled()
    expect(row(page, "Rule 2").get_by_role("button", name="Shadowed by Rule 1")).to_have_count(0)
    expect(row(page, "Rule 1").get_by_role("button", name="Shadowed by Rule 2")).to_be_visible()
    look(page, f"draft-{scheme}")
    page.get_by_role("button", name="Add rule").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look(page, f"add-{scheme}")
    fill_picture_five(page)
    page.get_by_role("dialog").get_by_label("Rule name").fill("Rule 10")
    expect(page.locator(".effect")).to_contain_text("It would ignore none of the open alerts")
    page.locator(".more > summary").click()
    look(page, f"picture-five-{scheme}")


@SCHEMES
def test_axe_finds_nothing_in_the_other_panels(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion, scheme: str
) -> None:
    page = open_as(admin, PAGE, color_scheme=scheme)
    page.get_by_role("link", name="Default binary drift rule").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look(page, f"default-{scheme}")
    page.get_by_label("Action").select_option("alert")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("1 change since v2")).to_be_visible()
    page.get_by_role("link", name="Review", exact=True).click()
    expect(page.get_by_role("dialog", name="Changes since v2")).to_contain_text("Default binary drift rule")
    look(page, f"review-{scheme}")
    page.keyboard.press("Escape")
    page.get_by_label("More commands").click()
    page.get_by_role("link", name="Detection kinds").click()
    expect(page.get_by_role("dialog")).to_contain_text("A program run from memory")
    look(page, f"detect-{scheme}")


@SCHEMES
def test_axe_finds_nothing_where_two_editors_meet(
    open_as: Callable[..., Page], admin: Any, owner: Any, nine_rules: PolicyVersion, scheme: str
) -> None:
    page = open_as(admin, PAGE, color_scheme=scheme)
    row(page, "Rule 1").locator(".handle").focus()
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator("#save")).to_be_enabled()
    versions.save_document(owner, document("Theirs"), 2)
    page.locator("#save").click()
    expect(page.get_by_role("alert")).to_contain_text("v3 has been saved since")
    look(page, f"versus-{scheme}")
    page.get_by_role("button", name="Reapply my changes to v3").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    look(page, f"rebased-{scheme}")


def test_axe_finds_nothing_on_a_readers_page(
    open_as: Callable[..., Page], reader: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(reader, PAGE)
    expect(row(page, "Rule 1")).to_contain_text("Never matched")
    look(page, "reader")
    page.get_by_role("link", name="Rule 1", exact=True).click()
    expect(page.get_by_role("dialog").get_by_label("Rule name")).to_be_disabled()
    look(page, "reader-rule")
