"""The order of rules in a real browser: by mouse, by keyboard, several at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.browser.rules import PAGE, STEP, drag, expect_arrived, expect_names, findings, names, row
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_while_dragging_the_source_row_stays_grey_and_checked(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    before = names(page)
    handle = row(page, "Rule 4").locator(".handle").bounding_box()
    x, y = handle["x"] + 10, handle["y"] + 10
    page.mouse.move(x, y)
    page.mouse.down()
    for moved in range(0, 60, STEP):
        page.mouse.move(x, y - moved)
    expect(page.locator(".drag-ghost")).to_contain_text("Rule 4")
    source = page.locator("#rule-rows tr[data-id=rule-4]:not(.drag-ghost)")
    expect(source).to_contain_class("selected")
    expect(source.locator("input")).to_be_checked()
    assert [name for name in names(page) if name != "Rule 4"] == [name for name in before if name != "Rule 4"]
    expect(page.locator(".drop-before")).to_have_count(1)
    page.mouse.move(x, y, steps=STEP)
    expect(page.locator(".drop-before, .drop-after")).to_have_count(0)
    page.mouse.up()
    expect(page.locator(".drag-ghost")).to_have_count(0)
    assert names(page) == before


def test_escape_ends_a_drag_without_a_move(open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion) -> None:
    page = open_as(admin, PAGE)
    before = names(page)
    handle = row(page, "Rule 4").locator(".handle").bounding_box()
    page.mouse.move(handle["x"] + 10, handle["y"] + 10)
    page.mouse.down()
    page.mouse.move(handle["x"] + 10, handle["y"] - 60, steps=12)
    expect(page.locator(".drop-before, .drop-after")).to_have_count(1)
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(page.locator(".drag-ghost, .drop-before, .drop-after")).to_have_count(0)
    assert names(page) == before


def test_several_selected_rules_are_dragged_together(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    for name in ("Rule 2", "Rule 7"):
        row(page, name).get_by_role("checkbox").check()
    handle = row(page, "Rule 7").locator(".handle").bounding_box()
    page.mouse.move(handle["x"] + 10, handle["y"] + 10)
    page.mouse.down()
    page.mouse.move(handle["x"] + 10, handle["y"] + 60, steps=10)
    expect(page.locator(".drag-ghost")).to_contain_text("2 rules")
    page.mouse.move(handle["x"] + 10, handle["y"] + 10, steps=10)
    page.mouse.up()
    drag(page, "Rule 7", "Rule 4", above=False)
    expect_names(page, *(f"Rule {number}" for number in (1, 3, 4, 2, 7, 5, 6, 8, 9)))
    expect(page.locator("#rule-rows tr.selected")).to_have_count(2)
    expect_arrived(page)


def test_nothing_goes_below_the_default_rule(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    expect(row(page, "Default binary drift rule").locator(".handle")).to_have_count(0)
    drag(page, "Rule 1", "Default binary drift rule", above=False)
    expect_names(page, *(f"Rule {number}" for number in (2, 3, 4, 5, 6, 7, 8, 9, 1)))
    expect_arrived(page)


def test_alt_and_arrows_move_a_rule_and_announce_its_position(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    handle = row(page, "Rule 3").locator(".handle")
    handle.focus()
    for _ in range(2):
        page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#status")).to_have_text("Rule 3 moved to priority 1 of 9")
    expect(row(page, "Rule 3").locator(".handle")).to_be_focused()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#status")).to_have_text("Already at the top")
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator("#status")).to_have_text("Rule 3 moved to priority 2 of 9")
    expect(page.get_by_text("1 change since v2")).to_be_visible()
    expect_arrived(page)
    page.reload()
    expect_names(page, "Rule 1", "Rule 3", "Rule 2", *(f"Rule {number}" for number in range(4, 10)))


def test_the_menu_moves_selected_rules_without_dragging(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    row(page, "Rule 9").get_by_role("checkbox").check()
    page.get_by_label("More commands").click()
    page.get_by_role("button", name="Move up").click()
    expect_names(page, *(f"Rule {number}" for number in (1, 2, 3, 4, 5, 6, 7, 9, 8)))
    expect_arrived(page)


def test_a_searched_list_moves_rules_beside_those_that_are_shown(
    open_as: Callable[..., Page], admin: Any, queued: list[Any]
) -> None:
    versions.save_document(admin, document("A1", "B1", "A2", "B2", "B3", "A3"), 1)
    page = open_as(admin, PAGE)
    page.get_by_label("Search by rule name or scope name").fill("scope of a")
    expect(page.locator("#rule-rows tr:visible")).to_have_count(3)
    expect(page.locator("#search-note")).to_be_visible()
    row(page, "A3").locator(".handle").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#status")).to_have_text("A3 moved to priority 3 of 6")
    drag(page, "A1", "A2", above=False)
    page.get_by_label("Search by rule name or scope name").fill("no such rule")
    expect(page.get_by_role("heading", name="No rules found")).to_be_visible()
    page.get_by_label("Search by rule name or scope name").fill("")
    expect_names(page, "B1", "A3", "A2", "A1", "B2", "B3")
    expect_arrived(page)
    assert [rule["name"] for rule in draft_state(admin).document["rules"]] == ["B1", "A3", "A2", "A1", "B2", "B3"]


@pytest.mark.parametrize(
    ("chosen", "key", "expected"),
    [
        (("A1", "A3"), "Alt+ArrowUp", ("A1", "B1", "B2", "A3", "A2", "B3")),
        (("A1", "A3"), "Alt+ArrowDown", ("B1", "B2", "A2", "A1", "A3", "B3")),
        (("A2", "A3"), "Alt+PageUp", ("A2", "A3", "A1", "B1", "B2", "B3")),
    ],
)
def test_rules_at_the_end_of_a_searched_list_stay_where_they_are(
    open_as: Callable[..., Page],
    admin: Any,
    queued: list[Any],
    chosen: tuple[str, ...],
    key: str,
    expected: tuple[str, ...],
) -> None:
    versions.save_document(admin, document("A1", "B1", "B2", "A2", "A3", "B3"), 1)
    page = open_as(admin, PAGE)
    page.get_by_label("Search by rule name or scope name").fill("scope of a")
    for name in chosen:
        row(page, name).get_by_role("checkbox").check()
    row(page, chosen[0]).locator(".handle").focus()
    page.keyboard.press(key)
    expect_arrived(page)
    assert [rule["name"] for rule in draft_state(admin).document["rules"]] == list(expected)


def left_of(place: Locator) -> float:
    """Where it begins on the page, in pixels."""
    box = place.bounding_box()
    assert box is not None
    return box["x"]


def spoken(page: Page) -> set[str]:
    """The names of the links that Chromium gives to a screen reader."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return {node["name"]["value"] for node in nodes if not node["ignored"] and node["role"]["value"] == "link"}


def test_a_long_list_lines_up_and_moves_like_a_short_one(
    open_as: Callable[..., Page], admin: Any, queued: list[Any]
) -> None:
    versions.save_document(admin, document(*(f"Rule {number}" for number in range(1, 121))), 1)
    page = open_as(admin, PAGE)
    expect(page.locator("table.rules.many")).to_have_count(1)
    heads, cells = page.locator("thead th").all(), row(page, "Rule 3").locator("td").all()
    for head, cell in zip(heads, cells, strict=True):
        assert abs(left_of(head) - left_of(cell)) < 1
    assert findings(page) == []
    expect(page.locator("#rule-rows tr:not(.laid-out)")).to_have_count(0)
    assert {f"Rule {number}" for number in range(1, 121)} <= spoken(page)

    drag(page, "Rule 5", "Rule 2", above=True)
    expect(page.locator("#status")).to_have_text("Rule 5 moved to priority 2 of 120")
    row(page, "Rule 120").locator(".handle").focus()
    expect(row(page, "Rule 120")).to_be_in_viewport()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#status")).to_have_text("Rule 120 moved to priority 119 of 120")
    expect_arrived(page)
    order = [rule["name"] for rule in draft_state(admin).document["rules"]]
    assert (order[:3], order[-2:]) == (["Rule 1", "Rule 5", "Rule 2"], ["Rule 120", "Rule 119"])
