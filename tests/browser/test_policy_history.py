"""The policy's history, import and proposals in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from drift.policy.actions import drafts, proposals, versions
from drift.policy.domain import edits
from drift.policy.domain.document_files import write
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from sensor.policy.document_text import parse_document
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/settings/policy/"
HISTORY = PAGE + "versions/"


@pytest.fixture
def three_versions(admin: Any, queued: list[Any]) -> None:
    """Version 1 out of the box, 2 with A and B, 3 with A alone."""
    versions.save_document(admin, document("A", "B"), 1, "Two rules")
    versions.save_document(admin, document("A"), 2, "One rule")


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
    panel = page.get_by_role("dialog", name="Restore v2")
    expect(panel.locator(".changes")).to_contain_text("Added B")
    panel.get_by_label("Comment").fill("Back to two rules")
    panel.get_by_role("button", name="Restore v2").click()
    expect(page.get_by_text("Saved as v4, with the rules of v2")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".versions tbody tr").first).to_contain_text("Back to two rules")
    expect(page.get_by_role("button", name="Restore v4")).to_have_count(0)
    restored = PolicyVersion.objects.get(number=4)
    assert restored.document == PolicyVersion.objects.get(number=2).document


def test_an_exported_policy_is_imported_after_its_errors_are_corrected(
    open_as: Callable[..., Page], admin: Any, three_versions: None, tmp_path: Path
) -> None:
    page = open_as(admin, HISTORY)
    with page.expect_download() as download:
        page.get_by_role("link", name="v2 as YAML").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "drift-policy-v2.yaml"
    two_rules = parse_document(file.read_bytes(), "yaml")

    page.goto(page.url.removesuffix("versions/"))
    page.get_by_label("More commands").click()
    page.get_by_role("link", name="Import").click()
    panel = page.get_by_role("dialog", name="Import a policy")
    panel.get_by_label("Or paste a document").fill(write({**two_rules, "default": {"action": "stop"}}, "json"))
    panel.get_by_role("button", name="Import to my draft").click()
    expect(panel.get_by_role("alert")).to_contain_text("1 error")
    expect(panel.locator(".document-errors tbody tr")).to_have_text("defaultactionmust be one of alert, block, ignore")
    assert findings(page) == []

    panel.get_by_label("Or paste a document").fill("")
    panel.get_by_label("File", exact=True).set_input_files(file)
    panel.get_by_role("button", name="Import to my draft").click()
    expect(panel).to_have_count(0)
    expect(page.locator("#rule-rows .name a")).to_have_text(["A", "B", "Default binary drift rule"])
    expect(page.get_by_text("1 change since v3")).to_be_visible()
    assert draft_state(admin).document == two_rules


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_operators_proposal_is_copied_and_saved_by_an_admin(
    open_as: Callable[..., Page], operator: Any, admin: Any, three_versions: None, scheme: str
) -> None:
    asking = open_as(operator, PAGE, color_scheme=scheme)
    asking.get_by_role("link", name="A", exact=True).click()
    expect(asking.locator("#f-name")).to_be_focused()
    asking.get_by_label("Another process").fill("/opt/build/run")
    expect(asking.locator("#apply")).to_be_enabled()
    asking.locator("#apply").click()
    expect(asking.get_by_text("1 change since v3")).to_be_visible()
    asking.get_by_label("Reason for the proposal").fill("The build tool drifts")
    asking.locator("#policy-state").get_by_role("button", name="Propose").click()
    expect(asking.get_by_text("Your proposal is waiting for a Security Admin")).to_be_visible()
    expect(asking.locator("#save")).to_be_disabled()
    assert findings(asking) == []

    deciding = open_as(admin, PAGE, color_scheme=scheme)
    expect(deciding.locator(".proposal")).to_contain_text("Operator proposed changes: The build tool drifts")
    deciding.get_by_role("link", name="Open the proposal by Operator").click()
    panel = deciding.get_by_role("dialog", name="Proposal by Operator")
    expect(panel.locator(".changes")).to_contain_text("/opt/build/run")
    assert findings(deciding) == []
    panel.get_by_role("button", name="Copy to my draft").click()
    expect(panel).to_have_count(0)
    expect(deciding.locator(".proposal")).to_contain_text("they are in your draft")
    deciding.locator("#save").click()
    expect(deciding.get_by_text("Saved as v4")).to_be_visible()
    expect(deciding.locator(".proposal")).to_have_count(0)
    assert PolicyVersion.objects.get(number=4).document["rules"][0]["allow_list"] == ["/opt/build/run"]

    asking.reload()
    expect(asking.locator(".proposal")).to_contain_text("Your proposal was saved as v4 by Admin")


def test_a_proposal_is_declined_only_with_a_comment(
    open_as: Callable[..., Page], operator: Any, admin: Any, three_versions: None
) -> None:
    drafts.change_draft(draft_state(operator), edits.set_default_action("alert"))
    proposals.propose_draft(draft_state(operator))
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Open the proposal by Operator").click()
    panel = page.get_by_role("dialog", name="Proposal by Operator")
    panel.get_by_role("button", name="Decline").click()
    expect(panel.get_by_role("alert")).to_contain_text("Add a comment")
    panel.get_by_label("Comment for declining").fill("Too loud")
    panel.get_by_role("button", name="Decline").click()
    expect(page.get_by_text("You declined the proposal by Operator")).to_be_visible()
    asking = open_as(operator, PAGE)
    expect(asking.locator(".proposal")).to_contain_text("declined by Admin: Too loud")


def test_the_audit_log_shows_what_a_version_does(
    open_as: Callable[..., Page], admin: Any, three_versions: None
) -> None:
    page = open_as(admin, "/audit/")
    entry = page.get_by_role("row").filter(has_text="v3").first
    effect = entry.locator(".audit-effect")
    expect(effect).not_to_contain_text("B")
    entry.locator("summary", has_text="What it does").press("Enter")
    expect(effect.locator(".changes")).to_contain_text("B")
    expect(effect.locator(".changes")).to_contain_text("Such drift is ignored")
    assert findings(page) == []
