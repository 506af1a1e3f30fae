"""Sensor onboarding in a browser: one line for each way, and a page that turns green by itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from drift.fleet.models import EnrolmentToken, Sensor, SensorStatus
from tests.browser.rules import look
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]
PAGE = "/settings/onboarding/"
NARROW = {"width": 390, "height": 844}
ENLARGED = {"width": 720, "height": 450}
"""What a window of 1440 by 900 has at 200 %."""


@pytest.fixture(autouse=True)
def environment(queued: list[Any]) -> Any:
    return estate.environment("aws", "123456789012", name="Payments")


def create(page: Page, **fields: str) -> None:
    page.get_by_label("Name").fill("Nodes")
    page.get_by_label("Environment").select_option(label="Payments")
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " ")).select_option(label=value)
    page.get_by_role("button", name="Create token").click()


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_the_line_is_copied_and_the_page_turns_green_by_itself(open_as: Open, admin: Any) -> None:
    page = open_as(admin, PAGE, permissions=["clipboard-read", "clipboard-write"])
    create(page, Kubernetes_platform="k3s")
    token = page.locator("#token-text").inner_text()
    page.get_by_role("button", name="Copy line").first.click()
    expect(page.locator("#status")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#line-helm").inner_text()
    assert copied.startswith("helm upgrade --install driftwatch-sensor ")
    assert copied.endswith(token)
    assert "\n" not in copied
    progress = page.locator("#progress")
    expect(progress).to_contain_text("Waiting for the first node")
    look(page, "onboarding-waiting")

    enrolled = estate.enrol(token, node="ip-10-0-0-7")
    assert enrolled.status_code == 201
    expect(progress.locator(".done")).to_have_count(1)
    SensorStatus.objects.update(backend="ebpf")
    expect(progress.locator(".done")).to_have_count(2)
    Sensor.objects.update(applied_number=1, applied_at=timezone.now())
    expect(progress).to_contain_text("ip-10-0-0-7 is protected.")
    expect(page.locator("#token-text")).to_have_text(token)
    look(page, "onboarding-green")


def test_after_a_minute_it_says_what_to_check(open_as: Open, admin: Any) -> None:
    page = open_as(admin, PAGE)
    create(page)
    expect(page.locator("#progress")).to_contain_text("Run one of the lines.")
    EnrolmentToken.objects.update(created_at=timezone.now() - dt.timedelta(seconds=61))
    expect(page.locator("#progress")).to_contain_text("No node has enrolled yet.")
    look(page, "onboarding-late")


def test_without_javascript_the_lines_are_there_and_progress_is_a_link_away(open_as: Open, admin: Any) -> None:
    page = open_as(admin, PAGE, java_script_enabled=False)
    create(page)
    expect(page.locator("#line-helm")).to_contain_text("helm upgrade --install")
    page.locator("summary", has_text="A plain host").click()
    expect(page.locator("#line-host")).to_be_visible()
    page.get_by_role("link", name="Open its progress").click()
    expect(page.get_by_text("Waiting for the first node.")).to_be_visible()
    estate.enrol(estate.token(EnrolmentToken.objects.get().environment)[1])
    Sensor.objects.update(enrolment_token=EnrolmentToken.objects.order_by("pk").first())
    page.get_by_role("link", name="Check now").click()
    expect(page.get_by_text("A node enrolled")).to_be_visible()
    expect(page.locator("#progress .done")).to_have_count(1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wide", {"viewport": {"width": 1440, "height": 900}}),
        ("narrow", {"viewport": NARROW}),
        ("enlarged", {"viewport": ENLARGED}),
        ("dark", {"color_scheme": "dark"}),
    ],
)
def test_every_line_fits_and_axe_finds_nothing(open_as: Open, admin: Any, name: str, options: Any) -> None:
    page = open_as(admin, PAGE, **options)
    create(page)
    for place in range(1, page.locator(".way").count()):
        page.locator(".way > summary").nth(place).click()
    assert fits(page)
    look(page, f"onboarding-{name}")


def test_the_keyboard_alone_opens_a_way_and_reads_its_line(open_as: Open, admin: Any) -> None:
    page = open_as(admin, PAGE)
    create(page)
    page.locator(".way > summary").nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#line-kubectl")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Kubernetes, with kubectl: the line")).to_be_focused()
