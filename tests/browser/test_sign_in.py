"""Signing in in a real browser: passkeys, codes, the issuer, and confirming without losing what was typed."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect

from accounts.models import User
from accounts.reauthentication import KEY as AUTHENTICATED_AT
from drift.policy.actions.drafts import change_draft
from drift.policy.actions.proposals import propose_draft
from drift.policy.queries.drafts import draft_state
from tests.browser.held import Held
from tests.conftest import PASSWORD
from tests.unit.accounts.factors import add_app, code_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
"""A directory for pictures of the pages, to look at them."""


@pytest.fixture(autouse=True)
def _public_url(settings: Any, live_server: Any) -> None:
    cache.clear()
    settings.PUBLIC_URL = live_server.url


@pytest.fixture
def context(browser: Browser, live_server: Any) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1400, "height": 900})
    yield context
    context.close()


@pytest.fixture
def visitor(context: BrowserContext) -> Page:
    return context.new_page()


def _add_authenticator(page: Page) -> tuple[CDPSession, str]:
    """Give the browser a platform authenticator that always agrees, as after a fingerprint; return it by its id."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    return session, str(session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"])


def _sign_in(page: Page, user: Any) -> None:
    page.goto("/sign-in/")
    page.get_by_label("Email").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def _sign_out(page: Page) -> None:
    page.locator("details.menu.right summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_passkey_signs_in_without_a_password_and_confirms(visitor: Page, reader: Any) -> None:
    _add_authenticator(visitor)
    _sign_in(visitor, reader)
    visitor.goto("/second-factor/passkeys/add/")
    visitor.get_by_label("Name").fill("My laptop")
    visitor.get_by_role("button", name="Add", exact=True).click()
    expect(visitor.get_by_text("shown only once")).to_be_visible()
    visitor.goto("/second-factor/")
    expect(visitor.get_by_role("cell", name="My laptop", exact=True)).to_be_visible()
    _sign_out(visitor)
    visitor.goto("/sign-in/?next=/second-factor/")
    visitor.get_by_role("button", name="Sign in with a passkey").click()
    expect(visitor.get_by_role("heading", name="Second factor")).to_be_visible()
    # Later the same passkey confirms a change.
    _make_old(visitor)
    visitor.goto("/second-factor/recovery-codes/new/")
    visitor.get_by_role("button", name="Create").click()
    expect(visitor.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    visitor.get_by_role("button", name="Use your passkey").click()
    expect(visitor.get_by_text("shown only once")).to_be_visible()


def test_a_passkey_is_the_second_factor_after_the_password(visitor: Page, reader: Any) -> None:
    _add_authenticator(visitor)
    _sign_in(visitor, reader)
    visitor.goto("/second-factor/passkeys/add/")
    visitor.get_by_role("checkbox").uncheck()
    visitor.get_by_role("button", name="Add", exact=True).click()
    expect(visitor.get_by_text("shown only once")).to_be_visible()
    _sign_out(visitor)
    _sign_in(visitor, reader)
    visitor.get_by_role("button", name="Use your passkey").click()
    expect(visitor.locator("details.menu.right")).to_be_visible()


def test_a_second_factor_that_its_device_offers_without_a_password_signs_nobody_in(visitor: Page, reader: Any) -> None:
    """Some devices keep every passkey so that it can sign in alone, and check a fingerprint for each."""
    session, authenticator = _add_authenticator(visitor)
    _sign_in(visitor, reader)
    visitor.goto("/second-factor/passkeys/add/")
    visitor.get_by_role("checkbox").uncheck()
    visitor.get_by_role("button", name="Add", exact=True).click()
    expect(visitor.get_by_text("shown only once")).to_be_visible()
    visitor.goto("/second-factor/")
    expect(visitor.get_by_role("cell", name="After the password")).to_be_visible()
    _sign_out(visitor)
    owned = {"authenticatorId": authenticator}
    (kept,) = session.send("WebAuthn.getCredentials", owned)["credentials"]
    session.send("WebAuthn.clearCredentials", owned)
    kept |= {"isResidentCredential": True, "userHandle": b64encode(str(reader.pk).encode()).decode()}
    session.send("WebAuthn.addCredential", owned | {"credential": kept})
    visitor.get_by_role("button", name="Sign in with a passkey").click()
    expect(visitor.get_by_text("Email or password is wrong.")).to_be_visible()
    _sign_in(visitor, reader)
    visitor.get_by_role("button", name="Use your passkey").click()
    expect(visitor.locator("details.menu.right")).to_be_visible()


def test_an_app_is_set_up_and_its_code_and_a_recovery_code_sign_in(visitor: Page, reader: Any) -> None:
    _sign_in(visitor, reader)
    visitor.goto("/second-factor/app/add/")
    expect(visitor.get_by_role("img", name="QR code")).to_be_visible()
    secret = visitor.locator(".secret").inner_text()
    visitor.get_by_role("textbox", name="Code").fill(code_of(secret))
    visitor.get_by_role("button", name="Set up").click()
    recovery_code = visitor.locator(".recovery-codes li").first.inner_text()
    _sign_out(visitor)
    _sign_in(visitor, reader)
    visitor.get_by_role("textbox", name="Code").fill(code_of(secret, 1))
    visitor.get_by_role("button", name="Sign in").click()
    expect(visitor.locator("details.menu.right")).to_be_visible()
    _sign_out(visitor)
    _sign_in(visitor, reader)
    visitor.get_by_role("textbox", name="Code").fill(recovery_code)
    visitor.get_by_role("button", name="Sign in").click()
    expect(visitor.locator("details.menu.right")).to_be_visible()


def _make_old(page: Page) -> None:
    """Make the page's session one whose user signed in an hour ago."""
    key = next(each["value"] for each in page.context.cookies() if each["name"] == "sessionid")
    browser = Client()
    browser.cookies["sessionid"] = key
    session = browser.session
    session[AUTHENTICATED_AT] = 0
    session.save()


def _draft_blocking_rules(user: Any) -> None:
    """Make every rule of the user's draft block."""

    def blocking(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "rules": [{**rule, "action": "block"} for rule in document["rules"]]}

    change_draft(draft_state(user), blocking)


def test_saving_a_blocking_policy_is_confirmed_in_a_dialog_and_nothing_is_lost(
    open_as: Callable[..., Page], admin: Any, nine_rules: Any
) -> None:
    _draft_blocking_rules(admin)
    page = open_as(admin, reverse("policy:page"))
    _make_old(page)
    page.locator("#save").click()
    dialog = page.get_by_role("dialog", name="Confirm that it is you")
    dialog.get_by_label("Password").fill("wrong")
    with page.expect_response(lambda response: response.status == 422):
        dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_text("The password is wrong.")).to_be_visible()
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Continue").click()
    expect(page.locator("#messages")).to_contain_text("Saved as v3")
    expect(dialog).to_have_count(0)


def test_the_dialog_closes_on_escape_and_the_draft_is_still_there(
    open_as: Callable[..., Page], admin: Any, nine_rules: Any
) -> None:
    _draft_blocking_rules(admin)
    page = open_as(admin, reverse("policy:page"))
    _make_old(page)
    page.locator("#save").click()
    expect(page.get_by_role("dialog", name="Confirm that it is you")).to_be_visible()
    assert Axe().run(page).response["violations"] == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Confirm that it is you")).to_have_count(0)
    expect(page.locator("#save")).to_be_enabled()


def test_what_is_typed_before_a_late_question_who_it_is_is_said_not_to_be_sent(
    open_as: Callable[..., Page], admin: Any, operator: Any, nine_rules: Any
) -> None:
    _draft_blocking_rules(operator)
    _, proposal = propose_draft(draft_state(operator))
    page = open_as(admin, reverse("policy:proposal", args=[proposal.pk]))
    _make_old(page)
    panel = page.get_by_role("dialog", name="Proposal by")
    held = Held(page, "**/accept/")
    with page.expect_request("**/accept/"):
        panel.get_by_role("button", name="Accept and save").click()
    panel.get_by_label("Comment on the version").fill("Typed since")

    held.release()

    dialog = page.get_by_role("dialog", name="Confirm that it is you")
    dialog.get_by_label("Password").fill(PASSWORD)
    expect(page.get_by_text("Not done:")).to_have_count(0)
    dialog.get_by_role("button", name="Continue").click()
    expect(page.locator("#messages")).to_contain_text("What you typed in the panel after that was not sent.")


# ---- The issuer


@pytest.fixture
def issuer(settings: Any) -> Iterator[str]:
    mock = pytest.importorskip("oidc_provider_mock", reason="needs Python 3.12")
    with mock.run_server_in_thread() as server:
        url = f"http://localhost:{server.server_port}"
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = url, "portal", "secret"
        settings.OIDC_NAME = "Example account"
        settings.OIDC_ROLES = {"soc": "operator", "security": "admin"}
        yield url


def _set_groups(issuer: str, *groups: str) -> None:
    claims: Any = {"email": "ada@example.com", "email_verified": True, "name": "Ada", "groups": groups}
    requests.put(f"{issuer}/users/ada", json=claims, timeout=30).raise_for_status()


def _sign_in_there(page: Page) -> None:
    page.goto("/sign-in/?next=/second-factor/")
    page.get_by_role("link", name="Sign in with Example account").click()
    page.locator("#subject-input").fill("ada")
    page.get_by_role("button", name="Authorize", exact=True).click()


def test_the_issuer_s_groups_decide_at_each_sign_in(context: BrowserContext, visitor: Page, issuer: str) -> None:
    _set_groups(issuer, "soc")
    _sign_in_there(visitor)
    expect(visitor.get_by_role("heading", name="Second factor")).to_be_visible()
    assert User.objects.get().role == "operator"
    _sign_out(visitor)
    _set_groups(issuer, "security")
    _sign_in_there(visitor)
    expect(visitor.get_by_role("heading", name="Second factor")).to_be_visible()
    assert User.objects.get().role == "admin"
    _set_groups(issuer, "gone")
    other = context.new_page()
    other.goto("/sign-in/issuer/")
    other.locator("#subject-input").fill("ada")
    other.get_by_role("button", name="Authorize", exact=True).click()
    expect(other.get_by_role("alert")).to_contain_text("Ask an Owner")
    visitor.goto("/second-factor/")
    expect(visitor.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_issuer_confirms_in_a_tab_of_its_own(context: BrowserContext, visitor: Page, issuer: str) -> None:
    _set_groups(issuer, "soc")
    _sign_in_there(visitor)
    _make_old(visitor)
    visitor.goto("/tokens/")
    visitor.get_by_label("Name").fill("pipeline")
    visitor.get_by_role("checkbox").first.check()
    visitor.get_by_role("button", name="Create", exact=True).click()
    with context.expect_page() as opened:
        visitor.get_by_role("link", name="Sign in with Example account").click()
    tab = opened.value
    tab.locator("#subject-input").fill("ada")
    tab.get_by_role("button", name="Authorize", exact=True).click()
    expect(tab.get_by_role("heading", name="Confirmed")).to_be_visible()
    visitor.get_by_role("button", name="Continue").click()
    expect(visitor.get_by_text("shown only once")).to_be_visible()


def test_an_issuer_that_is_down_is_a_page_and_passwords_still_work(visitor: Page, settings: Any, reader: Any) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "http://localhost:9", "portal"
    visitor.goto("/sign-in/")
    visitor.get_by_role("link", name="Sign in with").click()
    expect(visitor.get_by_role("alert")).to_contain_text("cannot be reached")
    _sign_in(visitor, reader)
    expect(visitor.locator("details.menu.right")).to_be_visible()


# ---- How the pages look


def _check(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=f"{SCREENSHOTS}/{name}.png", full_page=True)
    found = [f"{name} {each['id']}: {each['help']}" for each in Axe().run(page).response["violations"]]
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert (found, wide) == ([], 0), name


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(
    browser: Browser, live_server: Any, reader: Any, settings: Any, colours: Any, width: int
) -> None:
    settings.OIDC_ISSUER, settings.OIDC_NAME = "https://id.example", "Example account"
    options: dict[str, Any] = {"color_scheme": colours, "viewport": {"width": width, "height": 900}}
    context = browser.new_context(base_url=live_server.url, **options)
    page = context.new_page()
    _add_authenticator(page)
    at = f"{colours}-{width}"
    page.goto("/sign-in/")
    _check(page, f"sign-in-{at}")
    settings.LOCAL_SIGN_IN = False
    page.goto("/sign-in/")
    _check(page, f"only-issuer-{at}")
    settings.LOCAL_SIGN_IN = True
    _sign_in(page, reader)
    for path in ("passkeys/add/", "app/add/", "issuer/"):
        page.goto(f"/second-factor/{path}")
        _check(page, f"{path.replace('/', '-')}{at}")
    page.goto("/second-factor/passkeys/add/")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("shown only once")).to_be_visible()
    _check(page, f"codes-{at}")
    add_app(reader)
    page.goto("/second-factor/")
    _check(page, f"overview-{at}")
    for link in ("Rename", "Remove"):
        page.goto("/second-factor/")
        page.get_by_role("link", name=re.compile(f"^{link} ")).first.click()
        _check(page, f"{link}-{at}")
    for path in ("app/remove/", "recovery-codes/", "recovery-codes/new/"):
        page.goto(f"/second-factor/{path}")
        _check(page, f"{path.replace('/', '-')}{at}")
    page.goto("/confirm/")
    _check(page, f"confirm-{at}")
    page.goto("/sign-in/issuer/callback/?state=x&code=y")
    _check(page, f"issuer-failure-{at}")
    page.goto("/second-factor/")
    _sign_out(page)
    RecoveryCodes.activate(reader)
    _sign_in(page, reader)
    _check(page, f"step-{at}")
    context.close()
