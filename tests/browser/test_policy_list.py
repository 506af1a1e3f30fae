"""The list of rules in a real browser: selection, commands, marks, and another editor's changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.browser.rules import PAGE, expect_arrived, expect_names, row
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_commands_follow_the_selection(open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion) -> None:
    page = open_as(admin, PAGE)
    commands = {name: page.get_by_role("button", name=name) for name in ("Edit", "Duplicate rule", "Delete rule")}
    for command in commands.values():
        expect(command).to_be_disabled()
    row(page, "Default binary drift rule").get_by_text("All resources").click()
    expect(commands["Edit"]).to_be_enabled()
    expect(commands["Delete rule"]).to_be_disabled()
    row(page, "Rule 2").get_by_text("Scope of Rule 2").click()
    row(page, "Rule 3").get_by_role("checkbox").check()
    expect(commands["Edit"]).to_be_disabled()
    commands["Duplicate rule"].click()
    expect_names(
        page, "Rule 1", "Rule 2", "Copy of Rule 2", "Rule 3", "Copy of Rule 3", *(f"Rule {n}" for n in range(4, 10))
    )
    expect(page.get_by_text("2 changes since v2")).to_be_visible()
    expect(page.locator("#rule-rows tr.selected .name a")).to_have_text(["Copy of Rule 2", "Copy of Rule 3"])
    page.get_by_label("More commands").click()
    page.get_by_role("button", name="Disable", exact=True).click()
    expect(page.locator("#rule-rows tr.selected .badge")).to_have_text(["Disabled", "Disabled"])
    page.get_by_role("button", name="Discard").click()
    expect_names(page, *(f"Rule {number}" for number in range(1, 10)))


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
    assert [rule["enabled"] for rule in draft_state(admin).document["rules"]] == [True, *[False] * 6, True, True]


def test_shadowed_rules_are_marked_and_the_marks_follow_the_order(
    open_as: Callable[..., Page], admin: Any, queued: list[Any]
) -> None:
    policy = document("Narrow", "Wide")
    policy["rules"][0]["cloud_scope"] = [{"provider": "azure", "accounts": ["one"]}]
    versions.save_document(admin, policy, 1)
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


def test_a_stale_window_gets_409_and_an_explanation(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    drafts.change_draft(draft_state(admin), edits.delete_rules(["rule-2"]))
    with page.expect_response("**/order/") as answer:
        row(page, "Rule 3").locator(".handle").focus()
        page.keyboard.press("Alt+ArrowUp")
    assert answer.value.status == 409
    expect(page.get_by_role("alert")).to_contain_text("changed in another window")
    expect_names(page, "Rule 1", *(f"Rule {number}" for number in range(3, 10)))
    row(page, "Rule 4").locator(".handle").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.get_by_role("alert")).to_have_count(1)
    expect_names(page, "Rule 1", "Rule 4", "Rule 3", *(f"Rule {number}" for number in range(5, 10)))
    expect_arrived(page)


def test_a_save_over_a_newer_version_shows_both_sides(
    open_as: Callable[..., Page], admin: Any, owner: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    row(page, "Rule 1").locator(".handle").focus()
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator("#save")).to_be_enabled()
    versions.save_document(owner, document("Theirs"), 2)
    page.locator("#save").click()
    expect(page.get_by_role("alert")).to_contain_text("v3 has been saved since")
    page.get_by_role("button", name="Discard my changes and show v3").click()
    expect_names(page, "Theirs")


CLIPPED = """() => [...document.querySelectorAll('.rules td, .rules td a')]
    .filter(cell => cell.clientWidth && (cell.scrollWidth > cell.clientWidth || cell.scrollHeight > cell.clientHeight))
    .map(cell => cell.textContent.trim())"""


COUNTED = """() => {
    document.querySelectorAll('.rules .execs').forEach(each => each.textContent = '1,234,567');
    document.querySelectorAll('.rules .workloads').forEach(each => each.textContent = '1,234 workloads');
    document.querySelector('.rules .execs').textContent = '0';
    document.querySelector('.rules .workloads').textContent = '0 workloads';
    document.querySelector('.rules .workloads').classList.add('none');
}"""
"""What the script fills in where there is much drift, and where a rule matches no workload."""
CLOUDS = [
    {"provider": "azure", "accounts": [f"00000000-1111-1111-1111-{number:012}" for number in range(135)]},
    {"provider": "gcp", "accounts": [f"project-{number:04}" for number in range(50)]},
    {"provider": "aws", "accounts": [f"{100_000_000_000 + number}" for number in range(120)]},
]


def test_no_cloud_scope_and_no_action_is_cut_off_at_any_width(
    open_as: Callable[..., Page], admin: Any, queued: list[Any]
) -> None:
    rules = [
        rule("Two", scope_description="Scope8", cloud_scope=CLOUDS[:2]),
        rule("Three", scope_description="Scope9", cloud_scope=CLOUDS, action="block", dry_run=True, allow_list=["a"]),
    ]
    versions.save_document(admin, document(rules=rules), 1)
    page = open_as(admin, PAGE)
    expect(row(page, "Two")).to_contain_text("135 Azure subscriptions, 50 GCP projects")
    expect(row(page, "Two").locator(".execs")).to_have_text("0")
    page.evaluate(COUNTED)
    for width in (1440, 1280, 1241, 1240, 1024, 1001, 1000, 720, 641, 640, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(CLIPPED) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1440, 1280, 720, 390])
def test_nothing_of_the_policy_out_of_the_box_is_cut_off(open_as: Callable[..., Page], admin: Any, width: int) -> None:
    page = open_as(admin, PAGE, viewport={"width": width, "height": 900})
    expect(row(page, "Alert on Kube-System namespace").get_by_text("kube-system namespace", exact=True)).to_be_visible()
    expect(row(page, "Default binary drift rule").get_by_text("Azure, AWS, GCP")).to_be_visible()
    assert page.evaluate(CLIPPED) == []
