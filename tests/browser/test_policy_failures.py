"""What fails is said where the user looks, and loses nothing: no network, errors, proxies, other windows, sign-out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from drift.policy.actions.drafts import change_draft
from drift.policy.domain import edits
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.browser.rules import PAGE, expect_names, look, names, row

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]

NINE = [f"Rule {number}" for number in range(1, 10)]
UNREACHED = "The portal cannot be reached. Check whether the change was made."


def answers(page: Page, path: str, status: int = 0) -> None:
    """Answer requests to `path` in the portal's place: with `status` as a proxy does, or as a network that is gone."""

    def answer(route: Route) -> None:
        if status:
            route.fulfill(status=status, content_type="text/html", body="<h1>Not the portal</h1>")
        else:
            route.abort()

    page.unroute_all()
    page.route(f"**{path}", answer)


def change_elsewhere(user: Any, rule: int) -> None:
    """Change the user's draft as another window does."""
    state = draft_state(user)
    edit = edits.set_enabled([state.document["rules"][rule]["id"]], enabled=False)
    change_draft(state, edit, "1 rule disabled")


def test_a_rule_that_cannot_be_applied_says_so_in_its_panel_and_is_applied_afterwards(
    open_as: Open, admin: Any, nine_rules: PolicyVersion, complaints: list[str]
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Scope description").fill("Half typed")
    for status, words in ((0, UNREACHED), (500, "The portal did not answer (error 500)."), (429, "status 429")):
        answers(page, "/settings/policy/rule/**", status)
        panel.locator("#apply").click()
        expect(panel.get_by_role("alert").first).to_contain_text(words)
        expect(panel.get_by_role("alert").first).to_be_in_viewport()
    look(page, "apply-failed")
    page.unroute_all()
    panel.locator("#apply").click()
    expect(panel).to_have_count(0)
    assert draft_state(admin).document["rules"][4]["scope_description"] == "Half typed"
    complaints.clear()


@pytest.mark.parametrize("status", [0, 500, 422])
def test_a_save_that_fails_leaves_list_and_comment(
    open_as: Open, admin: Any, nine_rules: PolicyVersion, complaints: list[str], status: int
) -> None:
    page = open_as(admin, PAGE)
    row(page, "Rule 1").get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete rule").click()
    page.locator("#comment").fill("Why")
    answers(page, "/settings/policy/save/", status)
    page.locator("#save").click()
    expect(page.locator("#messages .message.error")).to_be_visible()
    expect(page.locator("#comment")).to_have_value("Why")
    expect_names(page, *NINE[1:])
    page.unroute_all()
    page.locator("#save").click()
    expect(page.get_by_text("Saved as v3")).to_be_visible()
    assert PolicyVersion.objects.get(number=3).comment == "Why"
    complaints.clear()


@pytest.mark.parametrize(("status", "words"), [(0, UNREACHED), (200, "status 200")])
def test_a_move_that_is_not_stored_is_taken_back_and_so_is_a_save_that_followed_it(
    open_as: Open, admin: Any, nine_rules: PolicyVersion, complaints: list[str], status: int, words: str
) -> None:
    page = open_as(admin, PAGE)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    row(page, "Rule 1").get_by_role("checkbox").check()
    page.get_by_role("button", name="Duplicate rule").click()
    expect(page.locator("#comment")).to_be_visible()
    before = names(page)
    answers(page, "/settings/policy/order/", status)
    page.evaluate("""() => {
      const handle = [...document.querySelectorAll("#rule-rows tr.rule .handle")].at(-1);
      handle.dispatchEvent(new KeyboardEvent("keydown", { key: "Home", altKey: true, bubbles: true }));
      document.getElementById("save").click();
    }""")
    expect(page.get_by_text(words)).to_be_visible()
    expect(page.locator("#rule-rows[aria-busy]")).to_have_count(0)
    page.evaluate("fetch(location.href).then((answer) => answer.text())")  # a Save would have been sent before it
    assert [url for url in sent if "/policy/save/" in url] == []
    assert names(page) == before
    assert [*(rule["name"] for rule in draft_state(admin).document["rules"])] == before[:-1]
    assert PolicyVersion.objects.filter(number=3).exists() is False
    complaints.clear()


def test_polls_that_fail_add_nothing_to_an_open_panel(
    open_as: Open, admin: Any, nine_rules: PolicyVersion, complaints: list[str]
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_label("Scope description")).to_be_visible()
    answers(page, "/banner/", 500)  # asked for every 3 s
    page.evaluate(
        "() => new Promise((done) => document.addEventListener('htmx:responseError', () => done(), { once: true }))"
    )
    expect(panel.get_by_role("alert")).to_have_count(0)
    complaints.clear()


def test_what_only_reads_is_not_said_to_have_changed_something(
    open_as: Open, admin: Any, nine_rules: PolicyVersion, complaints: list[str]
) -> None:
    page = open_as(admin, PAGE)
    for status, words in ((0, "The portal cannot be reached."), (502, "The portal did not answer (error 502).")):
        answers(page, "/settings/policy/rule/**", status)
        page.get_by_role("link", name="Rule 5", exact=True).click()
        expect(page.locator("#messages")).to_have_text(words)
    complaints.clear()


def test_a_panel_comes_back_with_what_was_chosen_where_another_window_has_changed_the_draft(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    panel = page.get_by_role("dialog")
    page.get_by_role("link", name="Default binary drift rule").click()
    panel.get_by_label("Action").select_option("alert")
    change_elsewhere(admin, 0)
    panel.get_by_role("button", name="Apply").click()
    expect(panel.get_by_role("alert")).to_contain_text("Everything you typed is still here")
    expect(panel.get_by_label("Action")).to_have_value("alert")
    panel.get_by_role("button", name="Apply").click()
    expect(panel).to_have_count(0)

    page.get_by_label("More commands").click()
    page.get_by_role("link", name="Detection kinds").click()
    panel.get_by_role("checkbox", name="Volume", exact=False).first.uncheck()
    change_elsewhere(admin, 1)
    panel.get_by_role("button", name="Apply").click()
    expect(panel.get_by_text("Everything you typed is still here")).to_be_visible()
    panel.get_by_role("button", name="Apply").click()
    expect(panel).to_have_count(0)

    row(page, "Rule 9").locator("td.select input").check()
    page.get_by_label("More commands").click()
    page.get_by_role("button", name="Move to position…").click()
    panel.get_by_label("To position").fill("1")
    change_elsewhere(admin, 2)
    panel.get_by_role("button", name="Move", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("Everything you typed is still here")
    panel.get_by_role("button", name="Move", exact=True).click()
    expect(panel).to_have_count(0)

    document = draft_state(admin).document
    assert document["default"] == {"action": "alert"}
    assert "volume" not in document["detect"]
    assert [rule["name"] for rule in document["rules"]] == ["Rule 9", *NINE[:-1]]
    assert [rule["enabled"] for rule in document["rules"][1:4]] == [False, False, False]


def test_who_is_signed_out_while_typing_keeps_it_and_every_button(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Scope description").fill("Half")
    expect(panel.locator("#apply")).to_be_enabled()
    page.context.clear_cookies()
    panel.get_by_label("Scope description").press_sequentially(" typed")
    expect(panel.get_by_text("You are signed out. What you typed is still here.")).to_be_visible()
    panel.locator("#apply").click(trial=True)
    expect(panel.get_by_label("Scope description")).to_have_value("Half typed")


def test_who_closes_the_panel_that_said_so_still_sees_that_they_are_signed_out(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    row(page, "Rule 1").get_by_role("checkbox").check()  # unsaved: the page stays
    page.get_by_role("link", name="Rule 5", exact=True).click()
    panel = page.get_by_role("dialog")
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('session:ended'))")
    expect(panel.get_by_role("link", name="Sign in")).to_be_visible()

    panel.get_by_role("link", name="Cancel").click()

    expect(panel).to_have_count(0)
    page.get_by_role("link", name="Sign in").click(trial=True)
