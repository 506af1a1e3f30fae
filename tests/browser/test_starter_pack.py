"""The starter pack in a real browser: opened from the menu, added disabled, checked by axe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from drift.policy.queries.drafts import draft_state

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_rules_of_the_starter_pack_are_chosen_and_added(
    open_as: Open, operator: Any, queued: list[Any], colours: str
) -> None:
    page = open_as(operator, "/settings/policy/", color_scheme=colours)
    page.get_by_label("More commands").click()
    page.get_by_role("link", name="Starter pack").click()
    panel = page.get_by_role("dialog", name="Starter pack")
    expect(panel.get_by_role("group", name="CI builders")).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    panel.get_by_role("button", name="Add to my draft").click()
    expect(panel.get_by_text("Choose at least one rule.")).to_be_visible()
    panel.get_by_role("checkbox", name="Kaniko build steps").check()
    panel.get_by_role("checkbox", name="Datadog agent").check()
    panel.get_by_role("button", name="Add to my draft").click()
    expect(page.get_by_role("row", name="Datadog agent")).to_be_visible()
    expect(panel).to_be_hidden()
    expect(page.get_by_text("2 changes since v1")).to_be_visible()
    rules = draft_state(operator).document["rules"]
    assert [rule["enabled"] for rule in rules] == [True, False, False]
