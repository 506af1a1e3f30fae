"""The pages and the API of backtests."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from drift.backtest.actions import run_monitor
from drift.backtest.actions import runs as actions
from drift.backtest.domain.result_table import result_table
from drift.backtest.models import BacktestRun, RunState
from drift.policy.actions import drafts
from drift.policy.domain import edits
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.backtest.test_comparison import SHOP, document, scope
from tests.unit.drift.policy.samples import rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]
As = Callable[[Any], Client]
Store = Callable[..., Any]
PAGE = "/settings/policy/backtests/"
API = "/api/v1/backtests/"


@pytest.fixture(autouse=True)
def _sent(queued: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    # A run's watcher sees only committed rows, and nothing here is committed.
    monkeypatch.setattr(run_monitor, "INTERVAL", 3_600)
    return queued


@pytest.fixture
def done(operator: Any, store: Store) -> BacktestRun:
    """A finished run with one new alert."""
    store("shop", path="/tmp/<xmrig>")
    run = actions.start(operator, document(SHOP), 1, 7)
    actions.perform(run.pk)
    run.refresh_from_db()
    return run


def test_the_page_shows_that_there_are_no_backtests_yet(client_of: As, reader: Any) -> None:
    page = client_of(reader).get(PAGE).content.decode()
    assert "No backtests yet" in page
    assert "Start backtest" not in page


def test_a_backtest_of_the_draft_is_started_from_the_page(client_of: As, admin: Any) -> None:
    drafts.change_draft(draft_state(admin), edits.add_rule(SHOP))
    client = client_of(admin)
    assert "1 change since v1" in client.get(PAGE).content.decode()
    answer = client.post(PAGE, {"days": "14"})
    run = BacktestRun.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{PAGE}{run.pk}/")
    assert run.document == draft_state(admin).document
    assert (run.until.date() - run.first_day).days == 13


@pytest.mark.parametrize("days", ["0", "x", "999", "", "²"])
def test_a_period_without_events_is_an_error_in_the_form(client_of: As, operator: Any, days: str) -> None:
    answer = client_of(operator).post(PAGE, {"days": days})
    assert answer.status_code == 422
    assert "Choose 1 to 30 days" in answer.content.decode()
    assert not BacktestRun.objects.exists()


def test_readers_see_runs_and_change_nothing(client_of: As, api_of: As, reader: Any, done: BacktestRun) -> None:
    browser, api = client_of(reader), api_of(reader)
    assert browser.get(PAGE).status_code == browser.get(f"{PAGE}{done.pk}/").status_code == 200
    assert api.get(API).status_code == api.get(f"{API}{done.pk}/").status_code == 200
    assert browser.post(PAGE, {"days": "7"}).status_code == 403
    assert browser.post(f"{PAGE}{done.pk}/cancel/").status_code == 403
    assert api.post(API, {}, "application/json").status_code == 403
    assert api.post(f"{API}{done.pk}/cancel/").status_code == 403


def test_a_finished_run_shows_its_result_and_no_longer_polls(client_of: As, reader: Any, done: BacktestRun) -> None:
    page = client_of(reader).get(f"{PAGE}{done.pk}/").content.decode()
    assert "/tmp/&lt;xmrig&gt;" in page
    assert "every 1s" not in page


def test_the_live_part_answers_304_until_something_changes(client_of: As, operator: Any) -> None:
    run = actions.start(operator, document(SHOP), 1, 7)
    client, url = client_of(operator), f"{PAGE}{run.pk}/"
    part = client.get(url, headers={"HX-Request": "true"})
    assert "every 1s" in part.content.decode()
    assert "<html" not in part.content.decode()
    known = {"HX-Request": "true", "If-None-Match": part.headers["ETag"]}
    assert client.get(url, headers=known).status_code == 304
    BacktestRun.objects.filter(pk=run.pk).update(state=RunState.RUNNING, progress=40)
    moved = client.get(url, headers=known)
    assert (moved.status_code, 'value="40"' in moved.content.decode()) == (200, True)


def test_a_run_is_cancelled_from_its_page(client_of: As, operator: Any, done: BacktestRun) -> None:
    run = actions.start(operator, document(), 1, 7)
    client = client_of(operator)
    assert client.post(f"{PAGE}{run.pk}/cancel/").status_code == 302
    assert "Cancelled before it finished" in client.get(f"{PAGE}{run.pk}/").content.decode()
    again = client.post(f"{PAGE}{done.pk}/cancel/", follow=True)
    assert "has already ended" in again.content.decode()


def test_the_api_backtests_a_document_and_returns_the_result(api_of: As, operator: Any, store: Store) -> None:
    store("shop")
    api = api_of(operator)
    answer = api.post(API, {"document": document(SHOP), "days": 2}, "application/json")
    started = answer.json()
    assert (answer.status_code, started["state"], started["base"]) == (202, "queued", 1)
    actions.perform(started["id"])
    found = api.get(f"{API}{started['id']}/").json()
    assert (found["state"], found["progress"], found["result"]["alerts"]["appear"]) == ("done", 100, 1)
    assert [each["id"] for each in api.get(API).json()["results"]] == [started["id"]]
    assert api.post(f"{API}{started['id']}/cancel/").status_code == 409


def test_the_api_uses_the_draft_if_no_document_is_sent(api_of: As, admin: Any) -> None:
    drafts.change_draft(draft_state(admin), edits.add_rule(SHOP))
    assert api_of(admin).post(API, {}, "application/json").status_code == 202
    assert BacktestRun.objects.get().document == draft_state(admin).document


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"document": {"schema": 1}}, 422, "policy_invalid"),
        ({"document": document(), "base": 77}, 422, "unknown_version"),
        ({"days": 99}, 422, "period_invalid"),
        ({"days": "x"}, 400, "invalid"),
        ({"dayz": 3}, 400, "invalid"),
        ({"base": 1}, 400, "invalid"),
    ],
)
def test_the_api_reports_errors(api_of: As, operator: Any, body: Any, status: int, code: str) -> None:
    answer = api_of(operator).post(API, body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not BacktestRun.objects.exists()


def test_the_number_of_queries_does_not_grow(
    client_of: As, operator: Any, done: BacktestRun, django_assert_max_num_queries: Any
) -> None:
    for days in range(1, 4):
        actions.start(operator, document(), 1, days)
    client = client_of(operator)
    for path in (PAGE, f"{PAGE}{done.pk}/"):
        with django_assert_max_num_queries(6):
            client.get(path)


def test_a_draft_s_review_offers_a_backtest_and_shows_its_result(client_of: As, operator: Any, store: Store) -> None:
    store("kube-system")
    state = draft_state(operator)
    kube_system = state.document["rules"][0]["id"]
    drafts.change_draft(state, edits.set_enabled([kube_system], enabled=False))
    client, htmx, part = client_of(operator), {"HX-Request": "true"}, PAGE + "of-draft/"
    review = client.get("/settings/policy/review/", headers=htmx).content.decode()
    assert f'hx-get="{part}?of=draft&amp;shown=' in review
    assert "Backtest on the last 7 days" in client.get(part, headers=htmx).content.decode()
    assert "progress" in client.post(part, headers=htmx).content.decode()
    actions.perform(BacktestRun.objects.get().pk)
    shown = client.get(part, headers=htmx).content.decode()
    assert "/tmp/xmrig" in shown
    assert 'hx-trigger="every' not in shown
    drafts.discard_draft(draft_state(operator))
    assert "/tmp/xmrig" not in client.get(part, headers=htmx).content.decode()
    assert client.get(part).headers["Location"] == PAGE


def test_a_backtest_of_another_draft_than_the_review_shows_is_neither_shown_nor_started(
    client_of: As, operator: Any, store: Store
) -> None:
    store("kube-system")
    state = draft_state(operator)
    kube_system = state.document["rules"][0]["id"]
    state = drafts.change_draft(state, edits.set_enabled([kube_system], enabled=False))
    client, htmx = client_of(operator), {"HX-Request": "true"}
    review = client.get("/settings/policy/review/", headers=htmx).content.decode()
    part = unescape(re.findall(r'id="draft-backtest" hx-get="([^"]*)"', review)[0])
    started = unescape(client.get(part, headers=htmx).content.decode())
    assert f'hx-post="{part}"' in started
    drafts.change_draft(state, edits.set_default_action("alert"))
    for answer in (client.get(part, headers=htmx), client.post(part, headers=htmx)):
        assert "This has changed since it was shown here." in answer.content.decode()
        assert "<button" not in answer.content.decode()
    assert not BacktestRun.objects.exists()


def test_page_api_and_command_give_the_same_result(
    client_of: As, api_of: As, operator: Any, store: Store, tmp_path: Path
) -> None:
    for number in range(3):
        store("shop", f"/tmp/tool-{number}", pod=f"cart-{number}", count=number + 1)
    pods = rule("Pods", action="block", resource_scope=[scope("pod_name", "-1", "ends_with")])
    wanted = document(SHOP, pods)
    drafts.change_draft(draft_state(operator), edits.replace_document(wanted))
    client_of(operator).post(PAGE, {"days": "7"})
    sent = {"document": wanted, "base": 1, "days": 7}
    by_page = BacktestRun.objects.get()
    actions.perform(by_page.pk)
    started = api_of(operator).post(API, sent, content_type="application/json").json()
    actions.perform(started["id"])
    by_page.refresh_from_db()
    result = api_of(operator).get(f"{API}{started['id']}/").json()["result"]
    assert result == by_page.result
    file, out = tmp_path / "policy.json", io.StringIO()
    file.write_text(json.dumps(wanted))
    call_command("policy", "backtest", str(file), stdout=out)
    assert out.getvalue().strip() == result_table(result, "v1").strip()
    assert result["alerts"]["appear"] == 3
