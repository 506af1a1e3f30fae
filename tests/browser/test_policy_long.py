"""Long lists, keys and small screens: the last rule of a thousand, lists that are pasted, pages at 390 px."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.fleet.models import Environment
from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.browser.rules import PAGE, expect_arrived, expect_names, look, row
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]

NINE = [f"Rule {number}" for number in range(1, 10)]
LONG = 1_000


@pytest.fixture
def thousand(admin: Any, queued: list[Any]) -> PolicyVersion:
    return versions.save_document(admin, document(*(f"Rule {n}" for n in range(1, LONG + 1))), 1).version


def _first(user: Any) -> str:
    return str(draft_state(user).document["rules"][0]["name"])


def test_the_last_of_a_thousand_rules_goes_to_the_top_in_three_acts(
    open_as: Open, admin: Any, thousand: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    row(page, f"Rule {LONG}").locator("td.select input").check()
    page.get_by_label("More commands").click()
    page.get_by_role("button", name="Move to top").click()
    expect(page.locator("#status")).to_have_text(f"Rule {LONG} moved to priority 1 of {LONG}")
    expect_arrived(page)
    assert _first(admin) == f"Rule {LONG}"
    row(page, "Rule 1").locator(".handle").focus()
    page.keyboard.press("Alt+PageDown")
    expect(page.locator("#status")).to_have_text(f"Rule 1 moved to priority 12 of {LONG}")
    page.keyboard.press("Alt+Home")
    expect(page.locator("#status")).to_have_text(f"Rule 1 moved to priority 1 of {LONG}")
    expect(row(page, "Rule 1").locator(".handle")).to_be_focused()
    expect_arrived(page)


RECORD_STEPS = """() => {
  window.steps = [];
  const scrollBy = window.scrollBy.bind(window);
  window.scrollBy = (step) => { window.steps.push([step.top, document.timeline.currentTime]); scrollBy(step); };
}"""
"""Records each step of the scrolling list: its pixels, and the time of its frame."""


def test_a_drag_at_the_edge_reaches_the_other_end_of_a_thousand_rules(
    open_as: Open, admin: Any, thousand: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
    handle = row(page, f"Rule {LONG}").locator(".handle").bounding_box()
    assert handle is not None
    x = handle["x"] + 10
    page.mouse.move(x, handle["y"] + 10)
    page.mouse.down()
    page.mouse.move(x, handle["y"] - 60, steps=5)
    page.evaluate(RECORD_STEPS)
    page.mouse.move(x, 5)
    page.wait_for_function("() => window.scrollY === 0")
    height, steps = page.evaluate("[document.documentElement.scrollHeight - window.innerHeight, window.steps]")
    first = row(page, "Rule 1").bounding_box()
    assert first is not None
    page.mouse.move(x, first["y"] + 4)
    page.mouse.up()
    expect(page.locator("#status")).to_have_text(re.compile(rf"Rule {LONG} moved to priority 1 of {LONG}"))
    expect_arrived(page)
    assert _first(admin) == f"Rule {LONG}"
    # Each frame scrolls as far as its length allows: however few a busy machine shows, two seconds of them are enough.
    (last, when), (_, before) = steps[-1], steps[-2]
    assert -last / (when - before) * 2_000 >= height


def test_rules_are_moved_by_number_and_by_name(open_as: Open, admin: Any, nine_rules: PolicyVersion) -> None:
    page = open_as(admin, PAGE)
    for name in ("Rule 2", "Rule 8"):
        row(page, name).locator("td.select input").check()
    page.get_by_label("More commands").click()
    look(page, "more-menu")
    page.get_by_role("button", name="Move to position…").click()
    panel = page.get_by_role("dialog", name="Move 2 rules")
    expect(panel.get_by_label("To position")).to_be_focused()
    look(page, "move-panel")
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    expect_names(page, *(f"Rule {n}" for n in (1, 3, 4, 5, 2, 8, 6, 7, 9)))
    expect(page.locator(".toast")).to_contain_text("2 rules moved")
    page.get_by_label("More commands").click()
    page.get_by_role("button", name="Move to position…").click()
    panel.get_by_label("Or above rule").fill("rule 1")
    panel.get_by_role("button", name="Move", exact=True).click()
    expect_names(page, *(f"Rule {n}" for n in (2, 8, 1, 3, 4, 5, 6, 7, 9)))


def test_all_shown_rules_are_selected_at_once(open_as: Open, admin: Any, nine_rules: PolicyVersion) -> None:
    page = open_as(admin, PAGE)
    everything = page.get_by_label("Select all rules shown")
    row(page, "Rule 3").locator("td.select input").check()
    expect(everything).to_have_js_property("indeterminate", True)
    everything.check()
    expect(page.locator("#rule-rows tr.selected")).to_have_count(9)
    everything.uncheck()
    page.get_by_label("Search by rule name or scope name").fill("rule 4")
    everything.check()
    expect(page.locator("#rule-rows tr.selected .name a")).to_have_text(["Rule 4"])


def test_the_commands_and_the_head_stay_in_view(open_as: Open, admin: Any, thousand: PolicyVersion) -> None:
    page = open_as(admin, PAGE)
    page.evaluate("window.scrollTo(0, 20000)")
    expect(page.locator("#add-rule")).to_be_in_viewport(ratio=1)
    expect(page.locator(".rules thead th").nth(3)).to_be_in_viewport(ratio=1)
    look(page, "scrolled")


def test_a_new_rule_is_added_by_space_and_has_the_focus_after_apply(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.locator("#add-rule").focus()
    page.keyboard.press("Space")
    panel = page.get_by_role("dialog")
    panel.get_by_label("Rule name").fill("New")
    panel.get_by_label("Scope description").fill("New scope")
    panel.locator("summary#f-scope").click()
    panel.get_by_label("Azure", exact=True).check()
    expect(panel.locator("#apply")).to_be_enabled()
    panel.locator("#apply").press("Enter")
    expect(page.get_by_role("link", name="New", exact=True)).to_be_focused()
    expect(page.get_by_role("link", name="New", exact=True)).to_be_in_viewport()


def test_the_cloud_tree_expands_and_shows_what_a_provider_includes(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    for number in (1, 2):
        Environment.objects.create(provider="azure", account=f"sub-{number}", name=f"Subscription {number}")
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 1", exact=True).click()
    page.locator("summary#f-scope").click()
    twisty = page.get_by_role("button", name="Environments of Azure")
    expect(twisty).to_have_attribute("aria-expanded", "false")
    twisty.press("Enter")
    included = page.get_by_label("Subscription 1")
    expect(included).to_be_checked()
    expect(included).to_be_disabled()
    look(page, "scope-tree")
    page.get_by_role("checkbox", name="Azure", exact=True).uncheck()
    expect(included).not_to_be_checked()
    included.check()
    expect(page.locator("#scope-summary")).to_have_text("1 Azure subscription")
    page.get_by_role("button", name="+ Add condition").first.focus()
    expect(page.locator(".scope-tree")).to_be_hidden()


PASTE = """(text) => {
  const data = new DataTransfer();
  data.setData("text", text);
  const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  document.activeElement.dispatchEvent(event);
}"""


def test_a_pasted_list_becomes_entries(open_as: Open, admin: Any, nine_rules: PolicyVersion) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 1", exact=True).click()
    expect(page.locator("#f-name")).to_be_focused()
    page.get_by_label("Another process").focus()
    page.evaluate(PASTE, '- "/usr/bin/curl",\n- /opt/My App/run\n\n- dev1.exe\n- /usr/bin/curl')
    expect(page.locator("[data-entry] input")).to_have_count(4)
    values = [each.input_value() for each in page.locator("[data-entry] input").all()]
    assert values == ["/usr/bin/curl", "/opt/My App/run", "dev1.exe", ""]
    page.evaluate(PASTE, "/opt/a,b")
    assert page.get_by_label("Another process").input_value() == ""  # one entry is left to the browser


@pytest.mark.parametrize(("width", "height"), [(390, 844), (720, 450), (1024, 768)])
def test_no_control_is_clipped_on_a_small_screen(
    open_as: Open, admin: Any, nine_rules: PolicyVersion, width: int, height: int
) -> None:
    page = open_as(admin, PAGE, viewport={"width": width, "height": height})
    page.locator("#rule-rows tr").first.get_by_role("checkbox").check()
    page.get_by_role("button", name="Duplicate rule").click()
    expect(page.get_by_text("1 change since v2")).to_be_visible()
    expect(page.locator("#rule-rows .hits").first).to_have_text("0")
    look(page, f"list-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CLIPPED) == []
    page.get_by_label("More commands").click()
    look(page, f"menu-{width}")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Rule 2", exact=True).click()
    page.get_by_role("button", name="+ Add condition").first.click()
    look(page, f"panel-{width}")
    assert page.evaluate(CLIPPED) == []


CLIPPED = """() => [...document.querySelectorAll(":is(main, dialog) :is(a, button, input, select, summary)")]
  .filter((each) => each.checkVisibility() && !each.closest(".visually-hidden"))
  .filter((each) => {
    const box = each.getBoundingClientRect();
    return box.width > 1 && (box.left < -1 || box.right > innerWidth + 1);
  })
  .map((each) => each.outerHTML.slice(0, 120))"""


class Keys:
    """A keyboard whose presses are counted, besides what is typed."""

    def __init__(self, page: Page) -> None:
        self.presses = 0
        self._page = page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.presses += 1
            self._page.keyboard.press(key)

    def until(self, key: str, wanted: str) -> None:
        """Press `key` until `wanted` has the focus."""
        for _ in range(20):
            if self._page.evaluate("(wanted) => document.activeElement.matches(wanted)", wanted):
                return
            self.press(key)
        raise AssertionError(f"{wanted} is not reached by {key}")


def test_the_rule_of_picture_five_is_made_moved_and_saved_by_keyboard_alone(
    open_as: Open, admin: Any, queued: list[Any]
) -> None:
    versions.save_document(admin, document(*NINE[1:]), 1)
    page = open_as(admin, PAGE)
    expect_names(page, *NINE[1:])
    keys, words = Keys(page), page.keyboard
    expect(page.locator("#main")).to_be_focused()
    keys.until("Tab", "#add-rule")
    keys.press("Space")
    expect(page.locator("#f-name")).to_be_focused()
    words.type("Rule 1")
    keys.press("Tab")
    words.type("Ign")
    keys.until("Tab", "#f-description")
    words.type("Scope1")
    keys.press("Tab", "Enter")
    expect(page.get_by_role("checkbox", name="Azure", exact=True)).to_be_visible()
    keys.until("Tab", "input[value=azure]")
    keys.press("Space", "Escape")
    keys.until("Tab", "[data-builder=resource_scope] .add-condition")
    keys.press("Enter")
    expect(page.locator(".property").first).to_be_focused()
    words.type("Image n")
    keys.until("Tab", "[data-builder=resource_scope] .value")
    words.type("Test123")
    keys.until("Shift+Tab", ".plus")
    keys.press("Enter")
    words.type("env123")
    keys.until("Tab", "[name=allow_list]")
    words.type("dev1.exe")
    expect(page.locator("#apply")).to_be_enabled()
    keys.press("Enter")
    expect(page.get_by_role("link", name="Rule 1", exact=True)).to_be_focused()
    keys.press("Alt+Home")
    expect(page.locator("#status")).to_have_text("Rule 1 moved to priority 1 of 9")
    expect_arrived(page)
    keys.until("Shift+Tab", "#policy-state .button.primary")
    keys.press("Enter")
    expect(page.get_by_text("Saved as v3")).to_be_visible()
    saved = PolicyVersion.objects.get(number=3).document["rules"][0]
    assert (saved["name"], saved["action"], saved["allow_list"]) == ("Rule 1", "ignore", ["dev1.exe"])
    assert saved["resource_scope"][0]["property"] == "image_name"
    assert [each["value"] for each in saved["resource_scope"][0]["any_of"]] == ["Test123", "env123"]
    assert saved["cloud_scope"] == [{"provider": "azure"}]
    assert keys.presses <= 45, keys.presses
