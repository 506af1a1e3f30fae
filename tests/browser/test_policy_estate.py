"""The policy page with events and alerts: hits, suggestions, a rule's effect, alerts that a save dismisses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert
from drift.fleet.models import Cluster
from tests.browser.rules import PAGE, look, row
from tests.unit.drift.alerts.conftest import VERSION, Estate, event, make_estate, raw

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
IGNORE = {"action": "ignore", "rule": "default", "reason": "default", "policy_number": VERSION}
SHOP = "Alert on the shop"


@pytest.fixture
def estate(transactional_db: None, queued: list[Any]) -> Estate:
    """Two files that alerted in the shop, one of them twice, and 1,234 ignored execs elsewhere."""
    made = make_estate()
    quiet = event(mode="summary", count=1_234, container__namespace="pay", decision=IGNORE)
    ingest(made.sensors[0], raw(event(), event(), event(process__path="/opt/gdb", process__name="gdb"), quiet))
    return made


def test_the_list_shows_how_often_and_when_each_rule_decided(estate: Estate, open_as: Open, admin: Any) -> None:
    page = open_as(admin, PAGE)
    expect(row(page, SHOP).locator(".execs")).to_have_text("3")
    expect(row(page, SHOP).locator(".matched")).to_have_attribute(
        "title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$")
    )
    expect(row(page, SHOP).locator(".matched")).to_have_text(re.compile(r"just now| ago$"))
    expect(row(page, "Alert on Kube-System namespace").locator(".execs")).to_have_text("0")
    expect(row(page, "Alert on Kube-System namespace").locator(".matched")).to_have_text("Never matched")
    expect(page.locator("#default-ignored")).to_have_text("1,234")
    row(page, SHOP).get_by_role("checkbox").check()
    page.get_by_role("button", name="Duplicate rule").click()
    expect(row(page, f"Copy of {SHOP}").locator(".matched")).to_have_text("Never matched")
    expect(row(page, SHOP).locator(".execs")).to_have_text("3")


def test_values_of_the_estate_are_suggested_for_each_property(estate: Estate, open_as: Open, admin: Any) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name=SHOP, exact=True).click()
    resource = page.locator("[data-builder=resource_scope]")
    value = resource.get_by_label("Value", exact=True)
    options = page.locator(f"#{value.get_attribute('list')} option")
    value.fill("p")
    expect(options).to_have_count(2)
    assert [option.get_attribute("value") for option in options.all()] == ["pay", "shop"]
    for label, typed, expected in (
        ("Image name", "TEAM", "ghcr.io/team/app"),
        ("Pod labels", "cart", "app=cart"),
        ("Container name", "ap", "app"),
        ("Cluster name", "blu", Cluster.objects.get(name="blue").name),
    ):
        resource.get_by_label("Property").select_option(label=label)
        value.fill(typed)
        expect(options).to_have_count(1)
        expect(options).to_have_attribute("value", expected)


def test_an_alert_becomes_a_rule_that_dismisses_it_with_its_save(estate: Estate, open_as: Open, admin: Any) -> None:
    alert = Alert.objects.get(path="/opt/gdb")
    page = open_as(admin, f"/alerts/{alert.pk}/?tab=action")
    page.get_by_role("button", name="Create rule", exact=True).click()
    effect = page.locator(".effect")
    expect(effect).to_contain_text("It would decide 1 of the 1,237 executions in the last 7 days.")
    expect(effect).to_contain_text("It would ignore 1 open alert")
    expect(effect.get_by_role("link", name="/opt/gdb")).to_be_visible()
    look(page, "effect")
    page.get_by_role("dialog").get_by_label("Rule name").fill("")
    expect(effect).to_have_text("")
    page.get_by_role("dialog").get_by_label("Rule name").fill("Tools")
    page.locator("#apply").click()

    page.get_by_label("Also dismiss 1 open alert that this ignores").check()
    look(page, "dismiss-choice")
    page.locator("#save").click()
    messages = page.locator("#messages")
    expect(messages).to_contain_text(f"Saved as v{VERSION + 1}. 1 alert dismissed as expected")
    # The other alert is of other content, or at another path: the rule names both.
    dismissed = Alert.objects.filter(status="dismissed", verdict="expected")
    assert list(dismissed.values_list("path", flat=True)) == ["/opt/gdb"]
    look(page, "dismissed")
    messages.get_by_role("button", name="Undo").click()
    expect(messages).to_contain_text("1 alert restored")
    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}


def test_without_the_choice_a_save_dismisses_nothing(estate: Estate, open_as: Open, admin: Any) -> None:
    alert = Alert.objects.get(path="/opt/gdb")
    page = open_as(admin, f"/alerts/{alert.pk}/?tab=action")
    page.get_by_role("button", name=f"Add to the allow list of {SHOP}").click()
    expect(page.get_by_label("Process 1")).to_have_value(f"sha256:{alert.binary.sha256}")
    page.locator("#apply").click()
    expect(page.get_by_label("Also dismiss 2 open alerts that this ignores")).not_to_be_checked()
    page.locator("#save").click()
    expect(page.get_by_text(f"Saved as v{VERSION + 1}")).to_be_visible()
    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}
