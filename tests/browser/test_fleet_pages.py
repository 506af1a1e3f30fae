"""Environment settings, onboarding and rollouts in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request, Response, Route, expect

from drift.fleet.actions import blocking_switch, bundles, rollouts
from drift.fleet.actions import signing_keys as keys
from drift.fleet.models import Delivery, DeliveryState, Environment, Sensor, SensorStatus, SigningKey
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]
SETTINGS = "/settings/environments/"


@pytest.fixture(autouse=True)
def fleet(queued: list[Any]) -> list[Sensor]:
    """Two clouds, three sensors, version 2 in delivery."""
    shop = estate.cluster(estate.environment("azure", "sub-1", name="Production"), "aks-shop")
    token, _ = estate.token(shop.environment)
    ci = estate.cluster(estate.environment("aws", "123456789012", name="Payments"), "eks-ci")
    sensors = [estate.sensor(shop, f"node-{n}", token)[0] for n in range(2)] + [estate.sensor(ci, "ip-10")[0]]
    SensorStatus.objects.bulk_create([SensorStatus(sensor=sensor) for sensor in sensors])
    estate.version(2)
    rollouts.start_rollout(2)
    return sensors


RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(page: Page) -> list[str]:
    """Return the violations that axe finds on a page, each with its element."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{violation['id']}: {node['target']}" for violation in found for node in violation["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages(
    open_as: Open, owner: Any, fleet: list[Sensor], scheme: str, live_server: Any
) -> None:
    blocking_switch.stop_all_blocking(owner)
    keys.add_key(owner)
    page = open_as(owner, SETTINGS, color_scheme=scheme)
    cluster = fleet[0].cluster_id
    opened = f"{SETTINGS}?open={fleet[0].cluster.environment_id}&cluster={cluster}"
    paths = [
        SETTINGS,
        opened,
        f"{SETTINGS}?only=off",
        f"{SETTINGS}add/",
        "/settings/onboarding/",
        "/rollouts/",
        "/rollouts/2/",
    ]
    paths += ["/rollouts/plan/", "/settings/health/", "/settings/keys/", "/settings/blocking/sensors/"]
    for path in [*paths, f"/clusters/{cluster}/", f"/sensors/{fleet[0].pk}/"]:
        page.goto(live_server.url + path)
        expect(page.locator("h1")).to_be_visible()
        assert violations(page) == [], path


def test_an_administrator_adds_an_environment_by_the_panel(open_as: Open, admin: Any) -> None:
    page = open_as(admin, SETTINGS)

    page.get_by_text("Add environment").click()
    page.get_by_role("link", name="GCP project").click()
    page.get_by_label("Account id").fill("project-7")
    page.get_by_label("Name", exact=False).last.fill("Learning")
    page.get_by_role("button", name="Add", exact=True).click()

    expect(page.get_by_text("Learning was added")).to_be_visible()
    expect(page.locator("#estate")).to_contain_text("project-7")


def test_the_switch_works_by_keyboard_and_keeps_the_focus(open_as: Open, admin: Any) -> None:
    page = open_as(admin, SETTINGS)
    switch = page.get_by_role("switch", name="Sensor in Production")

    switch.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Switch off").press("Enter")

    expect(page.locator("#status")).to_have_text("Sensor off in Production")
    expect(switch).to_be_focused()
    expect(switch).not_to_be_checked()
    assert Environment.objects.get(account="sub-1").sensor_enabled is False


def test_the_tree_opens_down_to_a_sensor_by_keyboard(open_as: Open, admin: Any) -> None:
    page = open_as(admin, SETTINGS)
    environment, cluster = (
        page.get_by_role("button", name="Clusters of Production"),
        page.get_by_role("link", name="aks-shop"),
    )
    expect(cluster).to_be_visible()
    expect(environment).to_have_attribute("aria-expanded", "true")

    environment.focus()
    page.keyboard.press("Space")
    expect(cluster).to_have_count(0)
    expect(environment).to_be_focused()
    expect(environment).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(cluster).to_be_visible()
    sensors = page.get_by_role("button", name="Sensors of aks-shop")
    sensors.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="node-0")).to_be_visible()
    expect(sensors).to_be_focused()
    expect(page.locator("tr", has=page.get_by_role("link", name="node-0"))).to_contain_text("desired v2")

    page.get_by_role("switch", name="Sensor in Payments").click()
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator("#status")).to_have_text("Sensor off in Payments")
    expect(page.get_by_role("link", name="node-0")).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name="node-0")).to_be_visible()
    page.get_by_role("button", name="Azure", exact=True).click()
    expect(cluster).to_be_hidden()
    expect(page.get_by_role("link", name="eks-ci")).to_be_visible()


def test_the_open_tree_updates_itself_and_stays_open(open_as: Open, reader: Any) -> None:
    page = open_as(reader, SETTINGS)
    page.get_by_role("button", name="Sensors of aks-shop").click()
    expect(page.get_by_role("link", name="node-0")).to_be_visible()
    page.get_by_role("heading", level=1).click()  # the focus is no longer in the tree

    Environment.objects.filter(account="sub-1").update(name="Renamed")

    expect(page.locator("#estate")).to_contain_text("Renamed")
    expect(page.get_by_role("link", name="node-0")).to_be_visible()


def test_search_and_filters_narrow_the_tree_and_are_in_the_url(open_as: Open, reader: Any) -> None:
    Environment.objects.filter(account="sub-1").update(sensor_enabled=False)
    page = open_as(reader, SETTINGS)
    shop, ci = page.get_by_role("link", name="aks-shop"), page.get_by_role("link", name="eks-ci")

    page.get_by_label("Search by name, account or cluster").fill("eks")
    expect(shop).to_have_count(0)
    expect(ci).to_be_visible()
    expect(page.locator("#status")).to_have_text("Showing 1 account")
    expect(page.locator(".subtitle")).to_have_text("Showing 1 account")
    page.get_by_label("Search by name, account or cluster").fill("")
    expect(shop).to_be_visible()

    page.get_by_label("Only").select_option("Switched off")
    expect(ci).to_have_count(0)
    expect(shop).to_be_visible()
    page.get_by_label("Cloud").select_option("AWS")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    expect(page.get_by_label("Only")).to_have_value("off")


@pytest.mark.parametrize("order", [("estate", "list-tools"), ("list-tools", "estate")], ids=" ".join)
def test_a_filter_replaces_a_pending_refresh(open_as: Open, reader: Any, order: tuple[str, str]) -> None:
    """Otherwise its response would replace the filter's tree."""
    held: dict[str, Route] = {}
    page = open_as(reader, SETTINGS)
    page.route("**/settings/environments/?*", lambda route: held.update({route.request.headers["hx-trigger"]: route}))

    def is_request(who: str) -> Callable[[Request], bool]:
        return lambda request: request.headers.get("hx-trigger") == who

    def answers(who: str) -> Callable[[Response], bool]:
        return lambda answer: is_request(who)(answer.request)

    with page.expect_request(is_request("estate")):
        page.evaluate("htmx.trigger('#estate', 'estate:refresh')")
    with page.expect_request(is_request("list-tools")):
        page.get_by_label("Only").select_option("Switched off")
    page.evaluate("1")  # by now both are held
    for who in order:
        with page.expect_response(answers(who)):
            held[who].continue_()
        page.evaluate("new Promise((done) => setTimeout(done, 0))")

    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    expect(page.locator("#shown")).to_have_text("Showing no environments")


@pytest.mark.parametrize("focused", ["#state-rejected", "#sensor-{0.pk}"])
def test_rollout_progress_keeps_the_focus(open_as: Open, reader: Any, fleet: list[Sensor], focused: str) -> None:
    page = open_as(reader, "/rollouts/2/")
    place = page.locator(focused.format(fleet[0]))
    place.focus()

    Delivery.objects.filter(sensor=fleet[2]).update(state=DeliveryState.APPLIED)

    expect(page.locator("#state-applied")).to_have_text("Applied 1")
    expect(place).to_be_focused()


def test_more_of_a_large_estate_is_shown_on_demand_and_without_scripts_too(
    open_as: Open, reader: Any, admin: Any
) -> None:
    Environment.objects.bulk_create(
        Environment(provider="gcp", account=f"project-{number:03}", name=f"Project {number:03}")
        for number in range(130)
    )
    page = open_as(reader, SETTINGS)
    last = page.get_by_text("Project 129")
    expect(page.get_by_role("button", name="Clusters of Production")).to_have_attribute("aria-expanded", "false")
    expect(last).to_have_count(0)

    page.get_by_role("button", name="Show more projects").press("Enter")
    expect(last).to_be_visible()
    expect(page.get_by_text("All projects are shown.")).to_be_focused()

    plain = open_as(reader, SETTINGS, java_script_enabled=False)
    plain.get_by_role("button", name="Clusters of Production").click()
    plain.get_by_role("button", name="Sensors of aks-shop").click()
    plain.get_by_role("button", name="Show more projects").click()
    expect(plain.get_by_role("link", name="node-0")).to_be_visible()
    expect(plain.get_by_text("Project 129")).to_be_visible()

    changing = open_as(admin, f"{SETTINGS}?q=Payments", java_script_enabled=False)
    changing.get_by_role("switch", name="Sensor in Payments").click()
    changing.get_by_role("button", name="Switch off").click()
    expect(changing.get_by_text("Sensor off in Payments")).to_be_visible()
    assert Environment.objects.get(account="123456789012").sensor_enabled is False


def test_the_delivery_line_and_the_rollout_update_themselves(open_as: Open, reader: Any) -> None:
    settings, rollout = open_as(reader, SETTINGS), open_as(reader, "/rollouts/2/")
    expect(settings.locator("#delivery")).to_contain_text("Version 2 is applied on 0 of 3 sensors")

    Delivery.objects.filter(sensor__node="ip-10").update(state=DeliveryState.REJECTED, error="bad signature")
    Delivery.objects.exclude(sensor__node="ip-10").update(state=DeliveryState.APPLIED)

    expect(settings.locator("#delivery")).to_contain_text("Version 2 is applied on 2 of 3 sensors, 1 rejected it")
    expect(rollout.locator("#rollout")).to_contain_text("bad signature")


def test_a_token_is_created_and_its_command_can_be_copied(open_as: Open, admin: Any) -> None:
    page = open_as(admin, "/settings/onboarding/", permissions=["clipboard-read", "clipboard-write"])

    page.get_by_label("Name").fill("Nodes")
    page.get_by_label("Environment").select_option(label="Payments")
    page.get_by_role("button", name="Create token").click()
    text = page.locator("#token-text").inner_text()
    page.get_by_role("button", name="Copy").first.click()

    expect(page.locator("#status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == text
    assert estate.enrol(text).status_code == 201


def test_a_sensor_is_revoked_after_confirmation_in_the_panel(open_as: Open, admin: Any, fleet: list[Sensor]) -> None:
    page = open_as(admin, f"/clusters/{fleet[0].cluster_id}/")

    page.get_by_role("link", name="Revoke node-0").click()
    expect(page.get_by_role("heading", name="Revoke node-0?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("link", name="Revoke node-0")).to_be_focused()
    page.get_by_role("link", name="Revoke node-0").click()
    page.get_by_role("button", name="Revoke").click()

    expect(page.get_by_text("node-0 was revoked.")).to_be_visible()
    fleet[0].refresh_from_db()
    assert fleet[0].state == "revoked"


def test_an_owner_changes_the_signing_key(open_as: Open, owner: Any, fleet: list[Sensor]) -> None:
    page = open_as(owner, SETTINGS)
    page.get_by_role("link", name="Signing keys").click()
    page.get_by_role("button", name="Add key").click()
    expect(page.get_by_text("was added. Promote it once every sensor accepts it.")).to_be_visible()
    expect(page.get_by_text("Not all yet")).to_be_visible()
    expect(page.get_by_role("link", name="Promote")).to_have_count(0)

    first, new = SigningKey.objects.order_by("promoted_at").values_list("key_id", flat=True)
    SensorStatus.objects.update(key_ids=[first, new])
    page.get_by_role("link", name=f"Promote {new}").click()  # the table updates itself
    expect(page.get_by_role("heading", name=f"Promote {new}?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("link", name=f"Promote {new}").click()
    page.get_by_role("button", name="Promote").click()

    expect(page.get_by_text(f"{new} is active now.")).to_be_visible()
    assert bundles.ensure_signing_key().key_id == new


def test_an_administrator_plans_a_wave_pauses_a_rollout_in_it_and_rolls_it_back(
    open_as: Open, admin: Any, live_server: Any
) -> None:
    page = open_as(admin, "/rollouts/plan/")
    page.get_by_label("Shares of all sensors").fill("50")
    page.get_by_role("button", name="Save plan").click()
    estate.version(3, default={"action": "alert"})
    rollouts.start_rollout(3)

    page.goto(live_server.url + "/rollouts/3/")
    expect(page.get_by_text("Wave 1 of 1, then all sensors")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused by Admin")).to_be_visible()
    page.get_by_role("button", name="Roll back to v2").click()

    expect(page.locator("h1")).to_contain_text("Rollout of v4")


@pytest.mark.parametrize("width", [720, 390])
def test_the_tree_and_all_its_controls_fit_a_narrow_screen(open_as: Open, admin: Any, width: int) -> None:
    page = open_as(admin, SETTINGS, viewport={"width": width, "height": 800})
    page.get_by_role("button", name="Sensors of aks-shop").click()
    expect(page.get_by_role("link", name="node-0")).to_be_visible()
    outside = """() => [...document.querySelectorAll(".estate :is(a, button, .badge)")]
        .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth)
        .map((each) => each.outerHTML)"""
    assert page.evaluate(outside) == []
    assert page.evaluate("document.querySelector('.grid-scroll').scrollWidth") <= width
    assert violations(page) == []
    page.locator("[data-fold]").first.click()
    expect(page.get_by_role("link", name="node-0")).to_be_hidden()
