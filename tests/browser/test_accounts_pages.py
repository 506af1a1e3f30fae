"""Users, tokens, password and audit log in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from accounts import audit
from accounts.actions.users import create_service_account
from accounts.roles import Role

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("path", ["/users/", "/tokens/", "/password/", "/audit/"])
def test_axe_finds_nothing(open_as: Open, owner: Any, path: str, colours: str) -> None:
    audit.record(owner, "renamed", "environment", 1, name="prod", before={"name": "a"}, after={"name": "b"})
    page = open_as(owner, path, color_scheme=colours)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("viewport", [{"width": 1440, "height": 900}, {"width": 390, "height": 844}])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_page_of_a_user_and_of_a_service_account_is_accessible(
    open_as: Open, owner: Any, reader: Any, colours: str, viewport: dict[str, int], live_server: Any
) -> None:
    account = create_service_account(owner, name="ci", role=Role.OPERATOR)
    page = open_as(owner, "/users/", color_scheme=colours, viewport=viewport)
    for path in ("/users/", f"/users/{reader.pk}/", f"/users/{account.pk}/"):
        page.goto(live_server.url + path)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path} {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.parametrize("viewport", [{"width": 1440, "height": 900}, {"width": 390, "height": 844}])
def test_an_invited_user_chooses_a_password_and_signs_in(
    open_as: Open, owner: Any, settings: Any, live_server: Any, browser: Browser, viewport: Any
) -> None:
    settings.PUBLIC_URL = live_server.url
    page = open_as(owner, "/users/", viewport=viewport)
    invite = page.get_by_role("region", name="Invite a user")
    invite.get_by_label("Email").fill("new@example.com")
    invite.get_by_label("Name").fill("New")
    invite.get_by_label("Show me the link").check()
    invite.get_by_role("button", name="Invite").click()
    expect(page.get_by_text("Give new@example.com this link.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.get_by_role("row", name="new@example.com").get_by_text("invited")).to_be_visible()
    url = page.locator("code", has_text="/link/").inner_text()

    guest = browser.new_context(viewport=viewport).new_page()
    guest.goto(url)
    assert "dwl_" not in guest.url
    found = Axe().run(guest)
    assert found.violations_count == 0, found.generate_report()
    guest.get_by_label("New password", exact=False).first.fill("short")
    guest.get_by_label("Confirm new password").fill("short")
    guest.get_by_role("button", name="Set password").click()
    expect(guest.get_by_text("too short")).to_be_visible()
    guest.get_by_label("New password", exact=False).first.fill("a passphrase of my own")
    guest.get_by_label("Confirm new password").fill("a passphrase of my own")
    guest.get_by_role("button", name="Set password").click()
    guest.get_by_label("Email").fill("new@example.com")
    guest.get_by_label("Password").fill("a passphrase of my own")
    guest.get_by_role("button", name="Sign in", exact=True).click()
    expect(guest.get_by_role("heading", level=1)).to_contain_text("Environment settings")

    again = browser.new_context().new_page()
    again.goto(url)
    expect(again.get_by_role("heading", name="This link has ended")).to_be_visible()
    for each in (guest, again):
        each.context.close()


def test_a_service_account_gets_a_token_that_an_owner_revokes(open_as: Open, owner: Any) -> None:
    page = open_as(owner, "/users/")
    add = page.get_by_role("region", name="Add a service account")
    add.get_by_label("Name").fill("ci-pipeline")
    add.get_by_label("Role").select_option(label="Security Operator")
    add.get_by_role("button", name="Add service account").click()
    create = page.get_by_role("region", name="Create a token")
    create.get_by_label("Name").fill("deploy")
    create.get_by_label("read: see alerts").check()
    expect(create.get_by_label("policy: save")).to_have_count(0)
    create.get_by_role("button", name="Create").click()
    expect(page.get_by_text("The new token, shown only once: dwp_")).to_be_visible()
    page.get_by_role("button", name="Revoke deploy").click()
    expect(page.get_by_text("Token revoked.")).to_be_visible()
    expect(page.get_by_text("No API tokens.")).to_be_visible()


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
