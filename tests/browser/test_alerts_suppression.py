"""The panel of a suppression rule in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.alerts.models import SuppressionRule
from tests.browser.test_alerts_page import violations

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
