"""Two Security Admins and the second approver, in a real browser: propose, accept, resume blocking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from accounts.models import User
from accounts.roles import Role
from drift.fleet.actions.blocking_switch import stop_all_blocking
from drift.fleet.models import FleetState
from drift.policy.actions import drafts
from drift.policy.domain import edits
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/settings/policy/"
Open = Callable[..., Page]
LOOKS = ({"color_scheme": "light"}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}})


@pytest.fixture(autouse=True)
def _needed(settings: Any, queued: list[Any]) -> None:
    settings.SECOND_APPROVER = "blocking"


@pytest.fixture
def second(db: None) -> User:
    return User.objects.create_user("second@example.com", "Second Admin", Role.ADMIN, "correct-horse-battery")


def blocking_draft(user: User) -> None:
    wanted = document("A", "B", rules=[rule("A"), rule("B", action="block")])
    drafts.change_draft(draft_state(user), edits.replace_document(wanted))


def assert_clean(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]] == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize("look", LOOKS)
def test_one_admin_proposes_to_block_and_another_accepts(
    open_as: Open, admin: User, second: User, look: dict[str, Any]
) -> None:
    blocking_draft(admin)
    page = open_as(admin, PAGE, **look)
    expect(page.get_by_text("Needs a second approver")).to_be_visible()
    expect(page.locator("#save")).to_be_hidden()
    assert_clean(page)
    page.get_by_label("Reason for the proposal").fill("Stop miners")
    page.locator("#policy-state").get_by_role("button", name="Propose").click()
    expect(page.get_by_text("Your proposal is waiting for a Security Admin")).to_be_visible()
    page.get_by_role("link", name="Open the proposal by Admin").click()
    own = page.get_by_role("dialog", name="Proposal by Admin")
    expect(own).to_contain_text("Another Security Admin must accept it")
    expect(own.get_by_role("button", name="Accept and save")).to_have_count(0)

    other = open_as(second, PAGE, **look)
    other.get_by_role("link", name="Open the proposal by Admin").click()
    panel = other.get_by_role("dialog", name="Proposal by Admin")
    panel.get_by_label("Comment on the version").fill("Read it")
    assert_clean(other)
    panel.get_by_role("button", name="Accept and save").click()
    expect(other.get_by_text("Saved as v2, proposed by Admin")).to_be_visible()
    saved = PolicyVersion.objects.get(number=2)
    assert (saved.author, saved.proposed_by, saved.comment) == (second, admin, "Read it")
    other.goto(other.url.partition("/settings/")[0] + PAGE + "versions/")
    expect(other.locator(".versions tbody tr").first).to_contain_text("Second Admin, proposed by Admin")


def test_a_move_by_keyboard_that_changes_what_is_blocked_turns_save_into_propose(open_as: Open, admin: User) -> None:
    blocking = [rule("A"), rule("B", action="block"), rule("C")]
    PolicyVersion.objects.create(
        number=2, document=document("A", rules=blocking), digest="0" * 64, base_id=1, author=admin
    )
    page = open_as(admin, PAGE)
    page.get_by_role("button", name="Move A").focus()
    page.keyboard.press("Alt+ArrowDown")
    expect(page.get_by_text("Needs a second approver")).to_be_visible()
    expect(page.locator("#propose")).to_be_visible()
    expect(page.locator("#save")).to_be_hidden()
    page.get_by_role("button", name="Move A").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator("#propose")).to_be_hidden()
    expect(page.locator("#save")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_resuming_takes_two_and_stopping_one(open_as: Open, admin: User, second: User, look: dict[str, Any]) -> None:
    stop_all_blocking(admin)
    page = open_as(admin, "/settings/environments/", **look)
    page.locator("#blocking").click()
    page.get_by_role("dialog").get_by_role("button", name="Ask to resume").click()
    expect(page.get_by_text("Admin asked to resume blocking")).to_be_visible()
    assert_clean(page)

    other = open_as(second, "/settings/environments/", **look)
    other.get_by_role("button", name="Decline").click()
    expect(other.get_by_text("Blocking stays stopped")).to_be_visible()
    page.reload()
    page.locator("#blocking").click()
    page.get_by_role("dialog").get_by_role("button", name="Ask to resume").click()
    expect(page.get_by_role("button", name="Withdraw")).to_be_visible()

    other.reload()
    other.locator("#blocking").click()
    other.get_by_role("dialog").get_by_role("button", name="Resume blocking").click()
    expect(other.get_by_text("Blocking was resumed")).to_be_visible()
    assert not FleetState.objects.get().blocking_stopped
    other.locator("#blocking").click()
    other.get_by_role("dialog").get_by_role("button", name="Stop all blocking").click()
    expect(other.get_by_text("All blocking was stopped")).to_be_visible()
