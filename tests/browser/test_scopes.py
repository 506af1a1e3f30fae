"""Scopes in a real browser: an Owner gives a part of the estate, and its user opens every page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page, expect

from accounts.actions.users import create_service_account
from accounts.models import ApiToken, ScopeEntry, ScopeGroup, User
from accounts.roles import Role
from tests.browser.test_every_page import pages
from tests.unit.drift.alerts.conftest import _fresh_memories, make_estate  # noqa: F401 - a fixture
from tests.unit.portal.planted_estate import FOREIGN_SENSOR, MARKER, Place, plant_alerts, plant_cluster, stranger

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]
OWN = "ownplace"
WIDER = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [
    "the page", ...[...document.querySelectorAll("body *")]
        .filter(each => each.getBoundingClientRect().right > innerWidth)
        .map(each => each.outerHTML.slice(0, 120))]"""
LOOKS = ({"color_scheme": "light"}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}})


def faults(page: Page) -> list[str]:
    """Return what axe finds on the page, and whether it is wider than the screen."""
    found = Axe().run(page).response["violations"]
    wide = page.evaluate(WIDER)
    return [
        *(f"{page.url} {each['id']}: {node['html']}" for each in found for node in each["nodes"]),
        *(f"{page.url} is too wide: {each}" for each in wide),
    ]


def assert_clean(page: Page) -> None:
    assert "\n".join(faults(page)) == ""


@pytest.fixture
def places(queued: list[Any]) -> tuple[Place, Place]:
    """The place that a scope will have, and the rest of the estate."""
    make_estate()
    author = stranger()
    own, rest = plant_cluster(OWN), plant_cluster(MARKER, FOREIGN_SENSOR)
    ScopeEntry.objects.create(user=author, environment=rest.environment)
    plant_alerts(rest, f"{MARKER}-namespace", MARKER, [author, author], count=4)
    return own, rest


@pytest.mark.parametrize("look", LOOKS)
def test_an_owner_limits_a_user_by_a_group_and_gives_and_takes_parts(
    open_as: Open,
    owner: User,
    operator: User,
    places: tuple[Place, Place],
    client_of: Callable[[User], Client],
    look: dict[str, Any],
) -> None:
    own, _ = places
    page = open_as(owner, "/users/", **look)
    page.get_by_role("link", name="Scopes and groups").click()
    expect(page.get_by_text("Everybody sees the whole estate")).to_be_hidden()  # the author of the rest has a scope
    page.get_by_label("Name").fill("Shop team")
    page.get_by_role("button", name="Create group").click()
    expect(page.get_by_text("This group gives no part of the estate yet.")).to_be_visible()
    assert_clean(page)
    page.get_by_role("group", name="Members").get_by_label(f"Operator ({operator.email})").check()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("Group Shop team changed.")).to_be_visible()
    page.get_by_role("combobox", name="Where").select_option(label="A namespace anywhere")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Enter a namespace, or choose a subscription or cluster.")).to_be_visible()
    assert_clean(page)
    page.get_by_role("combobox", name="Where").select_option(label=f"{OWN}-environment")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text(f"Shop team now sees {OWN}-environment.")).to_be_visible()

    page.goto(page.url.partition("/scopes/")[0] + f"/users/{operator.pk}/scope/")
    page.get_by_label("Only the parts below and those of the groups").check()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text(f"Scope of {operator.email} changed.")).to_be_visible()
    expect(page.get_by_text("sees nothing")).to_have_count(0)
    assert_clean(page)

    theirs, cluster = client_of(operator), f"/clusters/{own.cluster.pk}/"
    assert theirs.get(cluster).status_code == 200

    page.get_by_role("group", name="Groups").get_by_label("Shop team").uncheck()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("sees nothing")).to_be_visible()
    assert_clean(page)
    assert theirs.get(cluster).status_code == 404

    page.get_by_role("combobox", name="Where").select_option(label=f"{OWN}-environment / {OWN}-cluster")
    page.get_by_label("Namespace").fill("shop")
    page.get_by_role("button", name="Add").click()
    part = f"namespace shop in {OWN}-cluster"
    page.get_by_role("button", name=f"Remove {part}").click()
    expect(page.get_by_text(f"no longer sees {part}")).to_be_visible()

    page.goto(page.url.partition("/users/")[0] + f"/scopes/groups/{ScopeGroup.objects.get().pk}/")
    page.get_by_role("button", name="Delete group Shop team").click()
    expect(page.get_by_text("Group Shop team deleted.")).to_be_visible()
    assert_clean(page)


@pytest.mark.parametrize("look", LOOKS)
def test_an_owner_limits_the_token_of_a_service_account(
    open_as: Open,
    owner: User,
    places: tuple[Place, Place],
    api_of: Callable[[User], Client],
    look: dict[str, Any],
) -> None:
    account = create_service_account(owner, name="pipeline", role=Role.OPERATOR)
    api_of(account)
    page = open_as(owner, f"/users/{account.pk}/", **look)
    page.get_by_role("link", name="What test sees").click()
    expect(page.get_by_text("All that pipeline sees")).to_be_visible()
    assert_clean(page)
    page.get_by_role("combobox", name="Where").select_option(label=f"{OWN}-environment")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text(f"test sees {OWN}-environment of what pipeline sees")).to_be_visible()
    assert ApiToken.objects.get(user=account).is_scoped
    page.get_by_role("button", name=f"Remove {OWN}-environment").click()
    expect(page.get_by_text("This token sees nothing")).to_be_visible()
    assert_clean(page)
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name="pipeline").click()
    expect(page.get_by_role("link", name="What test sees")).to_have_text("Parts")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("kind", ["environment", "namespace", "nothing"])
def test_every_page_of_a_user_with_a_scope_is_clean_and_names_nothing_else(
    open_as: Open,
    operator: User,
    places: tuple[Place, Place],
    client_of: Callable[[User], Client],
    live_server: Any,
    kind: str,
    look: dict[str, Any],
) -> None:
    own, rest = places
    plant_alerts(own, f"{OWN}-namespace", OWN, [operator, operator])
    User.objects.filter(pk=operator.pk).update(is_scoped=True)
    if kind == "environment":
        ScopeEntry.objects.create(user=operator, environment=own.environment)
    elif kind == "namespace":
        ScopeEntry.objects.create(user=operator, cluster=own.cluster, namespace=f"{OWN}-namespace")
    alert = own.alerts[1].pk
    theirs = [
        *(f"/alerts/?group={each}&status=any" for each in ("incident", "rule", "cluster", "namespace")),
        "/alerts/charts/?days=90",
        *(f"/alerts/{alert}/?tab={each}" for each in ("details", "why", "timeline", "tree", "action")),
        f"/clusters/{own.cluster.pk}/",
        f"/sensors/{own.sensor.pk}/",
    ]
    client = client_of(operator)
    shown = [path for path in theirs if client.get(path).status_code == 200]
    assert len(theirs) - len(shown) == {"environment": 0, "namespace": 1, "nothing": 7}[kind]
    paths = [*pages(client), *shown]
    page = open_as(operator, paths[0], **look)
    found: list[str] = []
    page.on("response", lambda part: found.append(f"{page.url} loads {part.url}") if part.status >= 400 else None)
    for path in paths:
        page.goto(live_server.url + path)
        assert MARKER not in page.content(), path
        found += faults(page)
    assert found == []
    for path in (f"/alerts/{rest.alerts[0].pk}/", f"/clusters/{rest.cluster.pk}/", f"/sensors/{rest.sensor.pk}/"):
        assert client.get(path).status_code == 404, path


@pytest.mark.parametrize("look", LOOKS)
def test_a_user_with_a_scope_resolves_an_alert_and_finds_nothing_of_the_rest(
    open_as: Open, operator: User, places: tuple[Place, Place], live_server: Any, look: dict[str, Any]
) -> None:
    own, rest = places
    plant_alerts(own, f"{OWN}-namespace", OWN, [operator, operator])
    User.objects.filter(pk=operator.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=operator, environment=own.environment)
    page = open_as(operator, "/alerts/?status=any", **look)
    rows = page.locator("#alerts tbody tr")
    expect(rows).to_have_count(len(own.alerts))
    page.goto(f"{live_server.url}/alerts/?status=any&q={MARKER}")
    expect(rows).to_have_count(0)
    assert_clean(page)

    alert = own.alerts[-1]
    page.goto(f"{live_server.url}/alerts/{alert.pk}/?tab=action")
    page.get_by_role("button", name="Resolve alert").click()
    page.get_by_role("dialog").get_by_label("Benign true positive").check()
    assert_clean(page)
    page.get_by_role("dialog").get_by_role("button", name="Resolve").click()
    expect(page.locator("#alert-status summary")).to_contain_text("Resolved")
    alert.refresh_from_db()
    assert alert.status == "resolved"
    assert rest.alerts
