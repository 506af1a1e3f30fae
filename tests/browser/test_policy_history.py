"""The policy's history, import and proposals in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from drift.policy import actions
from drift.policy.management.document_file import parse, write
from drift.policy.models import PolicyVersion
from drift.policy.state import state_of
from tests.unit.policy_app.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/settings/policy/"
HISTORY = PAGE + "versions/"


@pytest.fixture
def three_versions(admin: Any, queued: list[Any]) -> None:
    """Version 1 out of the box, 2 with A and B, 3 with A alone."""
    actions.save_document(admin, document("A", "B"), 1, "Two rules")
    actions.save_document(admin, document("A"), 2, "One rule")


def findings(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def test_an_old_version_is_compared_and_restored_under_a_new_number(
    open_as: Callable[..., Page], admin: Any, three_versions: None
) -> None:
    page = open_as(admin, HISTORY)
    expect(page.locator("#compare-note")).to_have_text("v2 with v3")
    page.get_by_label("From v3").check()
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    page.get_by_label("From v1").check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("dialog", name="From v1 to v3")).to_contain_text("Alert on Kube-System namespace")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)

    page.get_by_role("button", name="Restore v2").click()
    asked = page.get_by_role("dialog", name="Restore v2")
    expect(asked.locator(".changes")).to_contain_text("Added B")
    asked.get_by_label("Comment").fill("Back to two rules")
    asked.get_by_role("button", name="Restore v2").click()
    expect(page.get_by_text("Saved as v4, with the rules of v2")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".versions tbody tr").first).to_contain_text("Back to two rules")
    expect(page.get_by_role("button", name="Restore v4")).to_have_count(0)
    restored = PolicyVersion.objects.get(number=4)
    assert restored.document == PolicyVersion.objects.get(number=2).document


def test_an_exported_policy_is_imported_once_its_faults_are_mended(
    open_as: Callable[..., Page], admin: Any, three_versions: None, tmp_path: Path
) -> None:
    page = open_as(admin, HISTORY)
    with page.expect_download() as download:
        page.get_by_role("link", name="v2 as YAML").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "drift-policy-v2.yaml"
    two_rules = parse(file.read_bytes(), "yaml")

    page.goto(page.url.removesuffix("versions/"))
    page.get_by_label("More commands").click()
    page.get_by_role("link", name="Import").click()
    panel = page.get_by_role("dialog", name="Import a policy")
    panel.get_by_label("Or paste it").fill(write({**two_rules, "default": {"action": "block"}}, "json"))
    panel.get_by_role("button", name="Import into my draft").click()
    expect(panel.get_by_role("alert")).to_contain_text("1 fault")
    expect(panel.locator(".faults tbody tr")).to_have_text("defaultactionmust be one of alert, ignore")
    assert findings(page) == []

    panel.get_by_label("Or paste it").fill("")
    panel.get_by_label("File", exact=True).set_input_files(file)
    panel.get_by_role("button", name="Import into my draft").click()
    expect(panel).to_have_count(0)
    expect(page.locator("#rule-rows .name a")).to_have_text(["A", "B", "Default binary drift rule"])
    expect(page.get_by_text("1 change since v3")).to_be_visible()
    assert state_of(admin).document == two_rules


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_history_and_its_panels(
    open_as: Callable[..., Page], admin: Any, three_versions: None, scheme: str
) -> None:
    page = open_as(admin, HISTORY, color_scheme=scheme)
    assert findings(page) == []
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Restore v1").click()
    expect(page.get_by_role("dialog", name="Restore v1")).to_be_visible()
    assert findings(page) == []
