"""Helpers for browser tests of the policy page: rows, drags, and the rule of picture 5."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

PAGE = "/settings/policy/"
STEP = 6
"""Pixels a drag moves at a time: slower than the page follows."""
SHOTS = os.environ.get("POLICY_SHOTS")
"""A directory for pictures to look at; without it none are taken."""


def names(page: Page) -> list[str]:
    return page.locator("#rule-rows .name a").all_inner_texts()


def expect_names(page: Page, *expected: str) -> None:
    expect(page.locator("#rule-rows .name a")).to_have_text([*expected, "Default binary drift rule"])


def expect_arrived(page: Page) -> None:
    """The list's new order has reached the server."""
    expect(page.locator("#rule-rows[aria-busy]")).to_have_count(0)
    expect(page.locator("#save")).to_be_enabled()


def row(page: Page, name: str) -> Any:
    return page.locator("#rule-rows tr", has=page.get_by_role("link", name=name, exact=True))


def drag(page: Page, name: str, onto: str, *, above: bool) -> None:
    """Drag a rule by its handle to the edge of another, row by row as a hand would."""
    start = row(page, name).locator(".handle").bounding_box()
    target = row(page, onto).bounding_box()
    x, y = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
    goal = target["y"] + (4 if above else target["height"] - 4)
    page.mouse.move(x, y)
    page.mouse.down()
    while abs(goal - y) > STEP:
        y += STEP if goal > y else -STEP
        page.mouse.move(x, y)
    page.mouse.move(x, goal)
    expect(row(page, onto)).to_contain_class("drop-before" if above or "Default" in onto else "drop-after")
    page.mouse.up()


def fill_picture_five(page: Page) -> None:
    """Type the rule of picture 5 into the open panel."""
    panel = page.get_by_role("dialog")
    panel.get_by_label("Rule name").fill("Rule 1")
    panel.get_by_label("Action").select_option(label="Ignore drift detection")
    panel.get_by_label("Scope description").fill("Scope1")
    panel.locator("summary#f-scope").click()
    panel.get_by_label("Azure", exact=True).check()
    panel.locator("summary#f-scope").click()
    resource = panel.locator("[data-builder=resource_scope]")
    resource.get_by_role("button", name="+ Add condition").click()
    resource.get_by_label("Property").select_option(label="Image name")
    resource.get_by_label("Value", exact=True).fill("Test123")
    resource.get_by_role("button", name="Add another value").click()
    resource.get_by_label("Value", exact=True).nth(1).fill("env123")
    panel.get_by_label("Another process").fill("dev1.exe")


def findings(page: Page) -> list[str]:
    """Return what axe finds on the current page."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def look(page: Page, name: str) -> None:
    """Assert that axe finds nothing, and take a screenshot."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", caret="initial")
    found = findings(page)
    assert found == [], found
