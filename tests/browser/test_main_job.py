"""The main job on a running demo: a rule from the panel, drag, Save, every sensor, an alert, a resolution."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.rules import drag, expect_arrived, expect_names, fill_picture_five
from tests.system.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.services, pytest.mark.serial]

SECONDS = 1_000
SAMPLES = 6
"""Sensors of the sample estate; this machine's own joins them where it has containers."""


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    """`make demo`, with its sensors."""
    directory = Path(tempfile.mkdtemp(prefix="dwb-"))
    running = Stack(directory / "data", sensors=True)
    running.start()
    yield running
    running.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def sign_in(demo: Stack, browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Return a function that signs in as the demo's user of a role; a console error fails the test."""
    complaints: list[str] = []
    contexts = []

    def as_role(role: str) -> Page:
        email, password = demo.sign_in(role)
        context = browser.new_context(viewport={"width": 1568, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(demo.url)
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Environment settings")
        return page

    yield as_role
    for context in contexts:
        context.close()
    assert complaints == []


def test_a_saved_rule_reaches_every_sensor_and_drift_becomes_an_alert_that_is_dismissed(
    demo: Stack, sign_in: Callable[[str], Page]
) -> None:
    admin = sign_in("Security Admin")
    admin.get_by_role("link", name="Containers drift policy").last.click()
    admin.get_by_role("button", name="Add rule").click()
    fill_picture_five(admin)
    admin.locator("#apply").click()
    expect_names(admin, "Alert on Kube-System namespace", "Rule 1")
    drag(admin, "Rule 1", "Alert on Kube-System namespace", above=True)
    expect_names(admin, "Rule 1", "Alert on Kube-System namespace")
    expect_arrived(admin)
    admin.locator("#save").click()
    expect(admin.get_by_text("Saved as v2")).to_be_visible()
    count = demo.rows("SELECT count(*) FROM fleet_sensor WHERE state = 'live'")[0][0]
    assert count >= SAMPLES
    expect(admin.get_by_text(f"Version 2 is applied on all {count} sensors")).to_be_visible(timeout=60 * SECONDS)

    # Azure's reading of "ignore with an allow list": what is not on the list alerts.
    operator = sign_in("Security Operator")
    operator.get_by_role("link", name="Security alerts").first.click()
    drifted = operator.get_by_role("row").filter(has_text="aks-dev").first
    expect(drifted).to_be_visible(timeout=60 * SECONDS)
    drifted.get_by_role("link", name="A drift binary detected executing in the container").click()
    tabs = operator.get_by_role("navigation", name="Alert tabs")
    tabs.get_by_role("link", name="Why").click()
    expect(operator.get_by_text("Rule 1").first).to_be_visible()
    tabs.get_by_role("link", name="Take action").click()
    operator.get_by_role("button", name="Dismiss alert").click()
    panel = operator.get_by_role("dialog")
    panel.get_by_label("Expected").check()
    panel.get_by_label("Comment").fill("A tool of the developers")
    panel.get_by_role("button", name="Dismiss").click()
    expect(operator.locator("#alert-status summary")).to_contain_text("Dismissed")
    closed = demo.rows("SELECT status, verdict FROM alerts_alert WHERE closed_at IS NOT NULL")
    assert closed == [("dismissed", "expected")]
