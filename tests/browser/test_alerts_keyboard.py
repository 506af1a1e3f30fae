"""A shift by keyboard alone: every act has a key, on the list and on one alert, and the focus stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.alerts.models import Alert
from tests.browser.test_alerts_page import estate, send, violations
from tests.unit.drift.alerts.conftest import Estate

__all__ = ["estate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
MOST_KEYS = 95


class Keyboard:
    """Presses keys one after the other, without waiting for what they do, and counts them."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    def press(self, *keys: str) -> None:
        self.page.wait_for_load_state()  # a page that was just opened has no keys yet
        for key in keys:
            self.page.keyboard.press(key)
        self.count += len(keys)


def expect_focus(page: Page, name: str) -> None:
    expect(page.locator("tr:focus-within")).to_contain_text(name)


def files(page: Page) -> list[str]:
    """The names of the files in the order of the list."""
    return [each.strip().split(" ")[0] for each in page.locator("#alerts .what").all_text_contents()]


@pytest.mark.parametrize(
    "size", [{"width": 1440, "height": 900}, {"width": 390, "height": 844}], ids=["wide", "narrow"]
)
def test_31_alerts_are_judged_one_by_one_in_at_most_95_keys(
    estate: Estate, open_as: Open, operator: Any, size: dict[str, int]
) -> None:
    send(estate, *(f"/tmp/tool-{number}" for number in range(31)))
    page = open_as(operator, "/alerts/", viewport=size)
    expect(page.locator("#alerts tbody tr")).to_have_count(31)
    keyboard = Keyboard(page)

    keyboard.press("j")
    for number in range(31):
        if number % 3 == 2:
            keyboard.press("r", "1", "Enter")  # a true positive
        else:
            keyboard.press("e", str(1 + number % 3), "Enter")  # a false positive, expected

    none_left = expect(page.get_by_role("heading", name="No open alerts"))
    none_left.to_be_visible(timeout=120_000)  # 93 requests, one after the other, on a machine that may be busy
    print(f"{keyboard.count} keys")
    assert keyboard.count <= MOST_KEYS
    found = Counter(Alert.objects.values_list("status", "verdict"))
    assert found == {
        ("dismissed", "false_positive"): 11,
        ("dismissed", "expected"): 10,
        ("resolved", "true_positive"): 10,
    }


def test_the_focus_moves_to_the_row_that_took_the_place(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, *(f"/tmp/{number}-file" for number in range(5)))
    page = open_as(operator, "/alerts/")
    keyboard, shown = Keyboard(page), files(page)
    keyboard.press("j", "j")
    expect_focus(page, shown[1])
    keyboard.press("e", "1", "Enter")
    expect(page.locator("#alerts tbody tr")).to_have_count(4)
    expect_focus(page, shown[2])
    keyboard.press("p")
    expect(page.locator("#alerts tbody tr", has_text=shown[2])).to_contain_text("In progress")
    expect_focus(page, shown[2])
    keyboard.press("a")
    expect(page.locator("#alerts tbody tr", has_text=shown[2])).to_contain_text("Operator")
    expect_focus(page, shown[2])
    keyboard.press("u")
    expect(page.locator("#alerts tbody tr", has_text=shown[2])).to_contain_text("Active")
    keyboard.press("j", "j", "e", "2", "Enter")
    expect(page.locator("#alerts tbody tr")).to_have_count(3)
    expect_focus(page, shown[3])
    keyboard.press("z")
    expect(page.locator("#alerts tbody tr")).to_have_count(4)
    expect_focus(page, shown[3])


def test_a_panel_that_is_cancelled_changes_neither_focus_nor_selection(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(operator, "/alerts/")
    keyboard, shown = Keyboard(page), files(page)
    keyboard.press("j", "j", "e")
    expect(page.get_by_role("dialog", name="Dismiss 1 alert")).to_be_visible()
    keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect_focus(page, shown[1])
    expect(page.locator("#alerts tbody :checked")).to_have_count(0)


def test_ranges_and_all_are_selected_by_key(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, *(f"/tmp/{number}-file" for number in range(60)))
    page = open_as(operator, "/alerts/")
    keyboard, checked = Keyboard(page), page.locator("#alerts tbody :checked")
    keyboard.press("j", "j", "x", "j", "j", "j", "X")
    expect(checked).to_have_count(4)
    keyboard.press("Escape")
    expect(checked).to_have_count(0)
    keyboard.press("*")
    expect(checked).to_have_count(50)
    keyboard.press("*")
    expect(page.get_by_text("60 matching alerts are selected")).to_be_visible()
    keyboard.press("e", "2", "Enter")
    expect(page.get_by_role("heading", name="No open alerts")).to_be_visible()
    keyboard.press("z")
    expect(page.locator("#alerts tbody tr")).to_have_count(50)
    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}


def test_a_group_is_judged_by_key(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, *(f"/tmp/{number}-file" for number in range(3)))
    send(estate, "/tmp/other", sensor=2)
    page = open_as(operator, "/alerts/?group=cluster")
    keyboard = Keyboard(page)
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    keyboard.press("j")
    while "blue" not in (page.locator("tr:focus-within").text_content() or ""):
        keyboard.press("j")

    keyboard.press("e", "2", "Enter")

    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(page.locator("tr:focus-within")).to_contain_text("green")
    assert Alert.objects.filter(status="dismissed", verdict="expected").count() == 3
    keyboard.press("o")
    expect(page.locator("#alerts tbody tr")).to_contain_text("other")


def test_back_returns_the_focus_to_the_alert_that_was_opened(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, *(f"/tmp/{number}-file" for number in range(5)))
    page = open_as(operator, "/alerts/")
    keyboard, shown = Keyboard(page), files(page)
    keyboard.press("j", "j", "j", "Enter")
    expect(page.get_by_role("heading", name="General information")).to_be_visible()
    page.go_back()
    expect_focus(page, shown[2])
    keyboard.press("o")
    expect(page.get_by_role("heading", name="General information")).to_be_visible()
    keyboard.press("e", "1", "Enter")
    expect(page.locator("#alert-status > summary")).to_contain_text("Dismissed")
    keyboard.press("l")
    expect(page.locator("#alerts tbody tr")).to_have_count(4)
    expect_focus(page, shown[3])
    keyboard.press("z")
    expect(page.locator("#alerts tbody tr")).to_have_count(5)


def test_every_act_has_a_key_on_one_alert(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, *(f"/tmp/{number}-file" for number in range(3)))
    page = open_as(operator, "/alerts/")
    keyboard = Keyboard(page)
    keyboard.press("j", "o")
    menu, number = page.locator("#alert-status"), page.locator(".subtitle")
    status = menu.locator("summary")
    expect(status).to_contain_text("Active")
    first = number.text_content()
    keyboard.press("p")
    expect(status).to_contain_text("In progress")
    keyboard.press("z")
    expect(status).to_contain_text("Active")
    keyboard.press("a")
    expect(page.locator("#messages")).to_contain_text("1 alert assigned to Operator")
    keyboard.press("r", "2", "Enter")
    expect(status).to_contain_text("Resolved")
    keyboard.press("u")
    expect(status).to_contain_text("Active")
    keyboard.press("c")
    expect(page.get_by_label("Comment", exact=True)).to_be_focused()
    page.keyboard.type("jkez")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator(".activities")).to_contain_text("jkez")
    keyboard.press("5")
    expect(page.get_by_text("Mitigate the threat")).to_be_visible()
    keyboard.press("s")
    expect(menu.get_by_role("button", name="In progress")).to_be_focused()
    keyboard.press("Escape", "j")
    expect(number).not_to_have_text(str(first))
    keyboard.press("k")
    expect(number).to_have_text(str(first))
    keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    assert violations(page) == []


def test_a_key_on_the_list_comments_on_the_alert(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, "/alerts/")

    Keyboard(page).press("j", "c")

    expect(page.get_by_label("Comment", exact=True)).to_be_focused()


def test_31_alerts_are_judged_group_by_group(estate: Estate, open_as: Open, operator: Any) -> None:
    for sensor in (0, 2):
        send(estate, *(f"/tmp/tool-{number}" for number in range(15 + sensor // 2)), sensor=sensor)
    page = open_as(operator, "/alerts/?group=cluster")
    keyboard = Keyboard(page)

    keyboard.press("j", "e", "1", "Enter", "r", "1", "Enter")

    expect(page.get_by_role("heading", name="No alerts match")).to_be_visible()
    assert Alert.objects.filter(status="active").count() == 0
    assert set(Alert.objects.values_list("status", "verdict")) == {
        ("dismissed", "false_positive"),
        ("resolved", "true_positive"),
    }
    assert keyboard.count <= MOST_KEYS
    keyboard.press("z", "z")
    expect(page.locator("#alerts tbody tr")).to_have_count(2)


def test_all_groups_are_selected_at_once(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    send(estate, "/tmp/other", sensor=2)
    page = open_as(operator, "/alerts/?group=cluster")
    keyboard = Keyboard(page)

    keyboard.press("j", "*")
    expect(page.locator("#everything")).to_contain_text("3 matching alerts are selected")
    keyboard.press("e", "2", "Enter")

    expect(page.get_by_role("heading", name="No alerts match")).to_be_visible()


def test_a_group_is_opened_at_its_first_alert_and_left_to_where_it_was_opened(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    for number in range(3):
        send(estate, *(f"/tmp/{number}{each}" for each in range(3)), container__namespace=f"shop-{number}")
    page = open_as(operator, "/alerts/?group=namespace")
    keyboard = Keyboard(page)
    expect(page.locator("#alerts tbody tr")).to_have_count(3)
    name = page.locator("#alerts tbody tr").nth(2).locator("a").first.text_content()
    keyboard.press("j", "j", "j", "o")
    expect(page.locator("#alerts .alert-name")).to_have_count(3)
    first = files(page)[0]
    expect_focus(page, first)
    keyboard.press("Enter")
    expect(page.get_by_role("heading", name="General information")).to_be_visible()
    keyboard.press("l")
    expect_focus(page, first)

    keyboard.press("l")

    expect_focus(page, str(name))


def test_back_from_a_group_returns_the_focus_to_it(estate: Estate, open_as: Open, operator: Any) -> None:
    for number in range(3):
        send(estate, f"/tmp/{number}", container__namespace=f"shop-{number}")
    page = open_as(operator, "/alerts/?group=namespace")
    keyboard = Keyboard(page)
    name = page.locator("#alerts tbody tr").nth(1).locator("a").first.text_content()
    keyboard.press("j", "j", "o")
    expect(page.locator("#alerts .alert-name")).to_have_count(1)

    page.go_back()

    expect_focus(page, str(name))


def test_an_incident_is_opened_and_left_by_key(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, *(f"/usr/lib/tool/{number}" for number in range(4)))
    send(estate, *(f"/opt/other/{number}" for number in range(4)), sensor=2)
    page = open_as(operator, "/alerts/?view=incidents")
    keyboard = Keyboard(page)
    rows = page.locator("#alerts tbody tr")
    expect(rows).to_have_count(2)
    opened = str(rows.nth(1).get_attribute("id"))
    keyboard.press("j", "j", "c")
    expect(page.locator("#status")).to_have_text("Comments belong to one alert: open it first.")
    keyboard.press("o")
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    keyboard.press("j", "e", "2", "Enter")
    expect(page.locator("#messages")).to_contain_text("1 alert set to Dismissed")
    expect(page.locator("tr:focus-within")).to_have_count(1)

    keyboard.press("l")

    expect(page.locator("tr:focus-within")).to_have_attribute("id", opened)
