"""The policy page's list and panel in a real browser: choosing many, marks, warnings, suggestions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.fleet.models import Cluster, Environment
from drift.policy import actions
from drift.policy.models import PolicyVersion
from drift.policy.state import state_of
from tests.unit.policy_app.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/settings/policy/"


@pytest.fixture
def nine_rules(admin: Any, queued: list[Any]) -> PolicyVersion:
    """Version 2 with Rule 1 to Rule 9."""
    return actions.save_document(admin, document(*(f"Rule {number}" for number in range(1, 10))), 1).version


def row(page: Page, name: str) -> Any:
    return page.locator("#rule-rows tr", has=page.get_by_role("link", name=name, exact=True))


def test_shift_chooses_all_rules_between_and_they_are_disabled_at_once(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    row(page, "Rule 2").locator("input").check()
    row(page, "Rule 5").locator("input").click(modifiers=["Shift"])
    expect(page.locator("#rule-rows tr.selected")).to_have_count(4)
    row(page, "Rule 7").locator("td").nth(4).click(modifiers=["Shift"])
    expect(page.locator("#rule-rows tr.selected")).to_have_count(6)
    page.get_by_label("More commands").click()
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("#rule-rows .badge", has_text="Disabled")).to_have_count(6)
    assert [rule["enabled"] for rule in state_of(admin).document["rules"]] == [True, *[False] * 6, True, True]


def test_shadowed_rules_are_marked_and_the_marks_follow_the_order(
    open_as: Callable[..., Page], admin: Any, queued: list[Any]
) -> None:
    policy = document("Narrow", "Wide")
    policy["rules"][0]["cloud_scope"] = [{"provider": "azure", "accounts": ["one"]}]
    actions.save_document(admin, policy, 1)
    page = open_as(admin, PAGE)
    row(page, "Wide").locator(".handle").focus()
    page.keyboard.press("Alt+ArrowUp")
    mark = row(page, "Narrow").get_by_role("button", name="Shadowed by Wide")
    expect(mark).to_be_visible()
    mark.click()
    expect(page.get_by_role("link", name="Wide", exact=True)).to_be_focused()
    row(page, "Wide").locator(".handle").focus()
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator("#rule-rows .shadow")).to_have_count(0)


def test_the_panel_warns_of_names_and_suggests_the_estate_s_clusters(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    place = Environment.objects.create(provider="aws", account="one", name="One")
    Cluster.objects.create(environment=place, name="prod-eu", distribution="eks", kubernetes_version="1.30")
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 1", exact=True).click()
    expect(page.locator("#f-name")).to_be_focused()
    entry = page.get_by_label("Another process")
    entry.fill("dev1.exe")
    warning = page.locator("#name-only-0")
    expect(warning).to_be_visible()
    page.get_by_label("Process 1").fill("/usr/bin/dev1.exe")
    expect(warning).to_be_hidden()
    page.get_by_role("button", name="+ Add condition").first.click()
    page.get_by_label("Property").first.select_option(label="Cluster name")
    expect(page.locator("#cluster-values option")).to_have_attribute("value", "prod-eu")
    expect(page.get_by_label("Value", exact=True).first).to_have_attribute("list", "cluster-values")
    resource = page.locator("[data-builder=resource_scope]")
    resource.get_by_role("button", name="Clear all").click()
    expect(resource.locator("[data-condition]")).to_have_count(0)
    expect(resource.get_by_role("button", name="+ Add condition")).to_be_focused()
