"""Users, tokens, password and audit log in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from accounts import audit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("path", ["/users/", "/tokens/", "/password/", "/audit/"])
def test_axe_finds_nothing(open_as: Open, owner: Any, path: str, colours: str) -> None:
    audit.record(owner, "renamed", "environment", 1, name="prod", before={"name": "a"}, after={"name": "b"})
    page = open_as(owner, path, color_scheme=colours)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_user_is_added_with_a_one_time_password(open_as: Open, owner: Any) -> None:
    page = open_as(owner, "/users/")
    page.get_by_label("Email", exact=False).last.fill("new@example.com")
    page.get_by_label("Name").fill("New")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("new@example.com can sign in with the one-time password")).to_be_visible()
    expect(page.get_by_role("cell", name="new@example.com")).to_be_visible()


def test_a_token_is_created_shown_once_and_revoked(open_as: Open, reader: Any) -> None:
    page = open_as(reader, "/tokens/")
    expect(page.get_by_role("heading", name="No tokens")).to_be_visible()
    page.get_by_label("Name").fill("ci")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("This field is required.")).to_be_visible()
    page.get_by_label("read: see alerts").check()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Your new token, shown only once: dwp_")).to_be_visible()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Token revoked.")).to_be_visible()
    expect(page.get_by_role("heading", name="No tokens")).to_be_visible()


def test_the_audit_log_is_filtered_and_shows_what_changed(open_as: Open, owner: Any) -> None:
    audit.record(owner, "renamed", "environment", 1, name="prod", before={"name": "old"}, after={"name": "new"})
    audit.record(owner, "created", "webhook", 2, name="chat", after={"host": "chat.example.com"})
    page = open_as(owner, "/audit/", viewport={"width": 390, "height": 844})
    page.get_by_label("Object name or id").fill("prod")
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="environment prod")).to_be_visible()
    expect(page.get_by_text("webhook chat")).to_have_count(0)
    page.get_by_text("1 value").click()
    expect(page.get_by_role("row", name="name old new").last).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Axe().run(page).violations_count == 0
    page.get_by_role("link", name="Clear").click()
    expect(page.get_by_text("webhook chat")).to_be_visible()
    page.get_by_label("From (UTC)").fill("2199-01-01T00:00")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("heading", name="No entries found")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    assert download.value.suggested_filename == "audit-log.csv"
