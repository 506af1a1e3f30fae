"""The policy page in a real browser: panel, order by mouse and keyboard, Save, conflicts, accessibility."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from drift.fleet.models import Environment
from drift.policy import actions, edits
from drift.policy.models import PolicyVersion
from drift.policy.state import state_of
from tests.unit.policy_app.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/settings/policy/"
STEP = 6
"""Pixels a drag moves at a time: slower than the page follows."""


@pytest.fixture
def nine_rules(admin: Any, queued: list[Any]) -> PolicyVersion:
    """Version 2 with Rule 1 to Rule 9."""
    return actions.save_document(admin, document(*(f"Rule {number}" for number in range(1, 10))), 1).version


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


def test_the_rule_of_picture_five_goes_by_the_panel_to_the_top_and_into_a_version(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    actions.change_draft(admin, state_of(admin).point, edits.delete_rules(["rule-1"]))
    page = open_as(admin, PAGE)
    page.get_by_role("button", name="Add rule").click()
    panel = page.get_by_role("dialog", name="Add new containers binary drift rule")
    apply = panel.locator("#apply")
    expect(apply).to_be_disabled()
    expect(panel.get_by_text("Required", exact=True)).to_have_count(2)
    expect(panel.get_by_text("At least one item must be selected")).to_be_visible()

    fill_picture_five(page)
    expect(page.locator("#scope-summary")).to_have_text("Azure")
    expect(page.locator("#words")).to_contain_text("dev1.exe")
    expect(page.locator("[data-entry]")).to_have_count(2)
    expect(apply).to_be_enabled()
    apply.click()
    expect(panel).to_have_count(0)
    others = [f"Rule {number}" for number in range(2, 10)]
    expect_names(page, *others, "Rule 1")
    expect(row(page, "Rule 1")).to_contain_class("selected")

    drag(page, "Rule 1", "Rule 2", above=True)
    expect_names(page, "Rule 1", *others)
    expect(page.locator("#status")).to_have_text("Rule 1 moved to priority 1 of 9")
    expect(row(page, "Rule 1")).to_have_class("rule selected")

    page.get_by_label("Comment on this version").fill("Picture five")
    page.locator("#save").click()
    expect(page.get_by_text("Saved as v3")).to_be_visible()
    expect(page.locator("#save")).to_be_disabled()
    saved = PolicyVersion.objects.get(number=3)
    assert saved.comment == "Picture five"
    rule = saved.document["rules"][0]
    assert rule | {"id": ""} == {
        "id": "",
        "name": "Rule 1",
        "action": "ignore",
        "scope_description": "Scope1",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [
            {
                "property": "image_name",
                "any_of": [
                    {"operator": "starts_with", "value": "Test123"},
                    {"operator": "starts_with", "value": "env123"},
                ],
            }
        ],
        "allow_list": ["dev1.exe"],
        "enabled": True,
        "unlisted": "decide",
        "process_scope": [],
        "expires_at": None,
        "note": "",
    }

    page.get_by_role("link", name="Rule 1", exact=True).click()
    edit = page.get_by_role("dialog", name="Edit binary drift Rule")
    expect(edit.get_by_label("Value", exact=True)).to_have_count(2)
    expect(edit.get_by_label("Process 1")).to_have_value("dev1.exe")


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


def test_alt_and_arrows_move_a_rule_and_say_where_it_is(
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


def test_no_rule_moves_while_the_list_is_searched(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_label("Search by rule name or scope name").fill("scope of rule 4")
    expect(page.locator("#rule-rows tr:visible")).to_have_count(1)
    row(page, "Rule 4").locator(".handle").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#status")).to_have_text("Clear the search to move rules")
    page.get_by_label("Search by rule name or scope name").fill("no such rule")
    expect(page.get_by_role("heading", name="No rules found")).to_be_visible()
    page.get_by_label("Search by rule name or scope name").fill("")
    expect_names(page, *(f"Rule {number}" for number in range(1, 10)))
    assert not state_of(admin).is_dirty


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


def test_a_stale_window_gets_409_and_an_explanation(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    actions.change_draft(admin, state_of(admin).point, edits.delete_rules(["rule-2"]))
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
    actions.save_document(owner, document("Theirs"), 2)
    page.locator("#save").click()
    expect(page.get_by_role("alert")).to_contain_text("v3 has been saved since")
    page.get_by_role("button", name="Discard my changes and show v3").click()
    expect_names(page, "Theirs")


def test_faults_stand_beside_their_fields_until_mended(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 1", exact=True).click()
    name = page.get_by_role("dialog").get_by_label("Rule name")
    expect(name).to_be_focused()
    name.fill("rule 2")
    expect(page.locator("#e-name")).to_have_text("Another rule has this name")
    expect(page.locator("#apply")).to_be_disabled()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    name.fill("Rule 1")
    entry = page.get_by_label("Another process")
    entry.fill("bin/sh")
    expect(page.locator("[data-entry]").first.locator(".fault")).to_contain_text("file name without /")
    page.get_by_label("Process 1").fill("/bin/sh")
    expect(page.locator("#apply")).to_be_enabled()
    page.get_by_role("button", name="Remove /bin/sh").click()
    expect(page.locator("[data-entry]")).to_have_count(1)
    page.get_by_role("button", name="+ Add condition").first.click()
    expect(page.locator("#apply")).to_be_disabled()
    page.get_by_role("button", name="Remove", exact=True).first.click()
    expect(page.locator("#apply")).to_be_enabled()
    page.get_by_label("Scope description").fill("Mended")
    page.locator("#apply").click()
    expect(row(page, "Rule 1")).to_contain_text("Mended")
    expect(page.get_by_role("link", name="Rule 1", exact=True)).to_be_focused()


def test_escape_asks_before_typed_changes_are_lost_and_gives_focus_back(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    answers = iter([False, True])
    page.on("dialog", lambda dialog: dialog.accept() if next(answers) else dialog.dismiss())
    link = page.get_by_role("link", name="Rule 5", exact=True)
    link.click()
    page.get_by_label("Scope description").fill("Changed")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Scope description")).to_have_value("Changed")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(link).to_be_focused()


def test_the_cloud_scope_offers_the_estate_and_keeps_what_it_does_not_know(
    open_as: Callable[..., Page], admin: Any, queued: list[Any]
) -> None:
    for number in (1, 2):
        Environment.objects.create(provider="aws", account=f"acc-{number}", name=f"Account {number}")
    known = document("A")
    known["rules"][0]["cloud_scope"] = [{"provider": "aws", "accounts": ["acc-2", "gone"]}]
    actions.save_document(admin, known, 1)
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="A", exact=True).click()
    expect(page.locator("#scope-summary")).to_have_text("2 AWS accounts")
    page.locator("summary#f-scope").click()
    expect(page.get_by_label("Account 2")).to_be_checked()
    expect(page.get_by_label("gone")).to_be_checked()
    page.get_by_label("Account 1").check()
    expect(page.locator("#scope-summary")).to_have_text("3 AWS accounts")
    page.get_by_label("AWS", exact=True).check()
    expect(page.locator("#scope-summary")).to_have_text("AWS")
    expect(page.get_by_label("Account 1")).to_be_disabled()


def test_the_panel_applies_without_scripts(open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion) -> None:
    page = open_as(admin, PAGE, java_script_enabled=False)
    page.get_by_role("button", name="Add rule").click()
    page.get_by_role("dialog").get_by_label("Rule name").fill("Plain")
    page.get_by_label("Scope description").fill("By hand")
    page.locator("summary#f-scope").click()
    page.get_by_label("Azure", exact=True).check()
    page.get_by_role("button", name="+ Add condition").first.click()
    page.get_by_label("Value", exact=True).fill("nginx")
    page.locator("#apply").click()
    expect_names(page, *(f"Rule {number}" for number in range(1, 10)), "Plain")
    added = state_of(admin).document["rules"][-1]
    assert added["resource_scope"][0]["any_of"] == [{"operator": "starts_with", "value": "nginx"}]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_page_and_its_panels(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion, scheme: str
) -> None:
    def findings() -> list[str]:
        found = Axe().run(page).response["violations"]
        return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]

    page = open_as(admin, PAGE, color_scheme=scheme)
    assert findings() == []
    row(page, "Rule 2").locator(".handle").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#save")).to_be_enabled()
    assert findings() == []
    page.get_by_role("button", name="Add rule").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert findings() == []
    fill_picture_five(page)
    page.locator(".more > summary").click()
    expect(page.locator("#apply")).to_be_disabled()
    assert findings() == []
