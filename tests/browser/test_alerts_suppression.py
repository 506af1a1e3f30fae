"""The panel of a suppression rule in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.alerts.actions import triage
from drift.alerts.models import Alert, Resolution, Status, SuppressionRule
from tests.browser.held import Held
from tests.browser.test_alerts_page import estate, send, violations
from tests.unit.drift.alerts.conftest import Estate

__all__ = ["estate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_apply_is_disabled_until_the_rule_is_complete(open_as: Callable[..., Page], operator: Any) -> None:
    page = open_as(operator, "/alerts/suppression/", color_scheme="dark")
    page.get_by_role("link", name="Create suppression rule").click()
    panel = page.get_by_role("dialog", name="New suppression rule")
    apply = panel.get_by_role("button", name="Apply")
    expect(apply).to_be_disabled()
    panel.get_by_label("Rule name").fill("Our debugger")
    expect(apply).to_be_disabled()
    panel.get_by_role("textbox", name="Process path").fill("/opt/tools/gdb")
    expect(apply).to_be_enabled()
    expect(panel.get_by_label("Last day of the rule")).to_be_hidden()
    panel.get_by_label("End of a day").check()
    expect(apply).to_be_disabled()
    panel.get_by_label("Last day of the rule").fill("2999-01-01")
    expect(apply).to_be_enabled()
    assert violations(page) == []

    apply.click()

    expect(page.locator("#rules tbody tr")).to_contain_text("Our debugger")
    assert SuppressionRule.objects.get().expires_at.year == 2999  # type: ignore[union-attr]


def test_widening_a_rule_shows_what_it_also_covers_above_apply(
    estate: Estate, open_as: Callable[..., Page], operator: Any
) -> None:
    send(estate, "/opt/tools/gdb")
    send(estate, "/opt/tools/miner", process__sha256="e" * 64)
    tool, attack = Alert.objects.order_by("pk")
    triage.change_status(operator, {attack.pk: 1}, triage.StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE))
    page = open_as(operator, f"/alerts/{tool.pk}/?tab=action", viewport={"width": 1440, "height": 700})
    page.get_by_role("link", name="Create suppression rule").click()
    panel = page.get_by_role("dialog", name="New suppression rule")
    expect(panel.get_by_text("It would have dismissed 1 of 2 alerts")).to_be_in_viewport()
    expect(panel.get_by_text("It dismisses only files of the content that it names")).to_be_visible()

    panel.get_by_role("textbox", name="File hash (SHA-256)").fill("")
    panel.get_by_role("textbox", name="Process path").fill("/opt/")
    panel.get_by_label("Operator for Process path").select_option("starts_with")

    expect(panel.get_by_text("It would have dismissed 2 of 2 alerts")).to_be_in_viewport()
    expect(panel.get_by_text(f"one of them a true positive: alert {attack.pk}")).to_be_in_viewport()
    expect(panel.get_by_text(f"1 of them is not like alert {tool.pk}")).to_be_visible()
    assert violations(page) == []
    panel.get_by_role("button", name="Apply").click()
    expect(panel.get_by_text("Look at what the rule would have dismissed")).to_be_in_viewport()
    assert not SuppressionRule.objects.exists()
    panel.get_by_label("I have looked at what is known to be an attack").check()
    panel.get_by_role("button", name="Apply").click()
    expect(page.locator("#messages")).to_contain_text("saved")
    assert set(SuppressionRule.objects.get().contents.values_list("sha256", flat=True)) == {"a" * 64}


def test_a_late_simulation_of_a_rule_that_has_changed_since_is_not_shown(
    estate: Estate, open_as: Callable[..., Page], operator: Any
) -> None:
    send(estate, "/opt/tools/gdb")
    page = open_as(operator, f"/alerts/{Alert.objects.get().pk}/?tab=action")
    page.get_by_role("link", name="Create suppression rule").click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_text("It would have dismissed 1 of 1 alert")).to_be_visible()
    path = panel.get_by_label("Process path", exact=True)
    held = Held(page, "**/alerts/suppression/simulate/")
    path.fill("/nowhere")
    path.blur()
    path.fill("/opt/tools/gdb")
    expect(panel.get_by_text("It would have dismissed")).to_have_count(0)

    held.release()

    expect(panel.get_by_text("It would have dismissed 1 of 1 alert")).to_be_visible()
