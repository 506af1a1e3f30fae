"""The effect of a change on the last days, as the pages show it beside each rule."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html import unescape
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import connection
from django.test import Client

from drift.alerts.queries import matched_workloads, rule_effect
from drift.alerts.queries.query_limits import QueryLimit, StatementTimeout
from drift.backtest.domain.change_effects import ChangeEffect, change_effects
from drift.backtest.domain.result import Result
from drift.backtest.queries import comparison, quick_comparison
from drift.backtest.views import effects
from drift.policy.actions import drafts, proposals, versions
from drift.policy.domain import edits
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.page_client import HTMX
from tests.unit.drift.policy.samples import document, rule

pytestmark = pytest.mark.django_db

EFFECT = "/settings/policy/effect/"
SHOP = [{"property": "namespace", "any_of": [{"operator": "equals", "value": "shop"}]}]
NOWHERE = [{"property": "namespace", "any_of": [{"operator": "equals", "value": "nowhere"}]}]


@pytest.fixture
def reading(admin: Any, client_of: Callable[[Any], Client], queued: Any) -> Client:
    return client_of(admin)


def _text(response: Any) -> str:
    assert response.status_code == 200, response.content[:200]
    return " ".join(response.content.decode().split())


def test_a_rule_that_ignores_a_namespace_makes_its_alerts_disappear(
    reading: Client, admin: Any, store: Callable[..., Any]
) -> None:
    store("shop", "/tmp/a", count=3)
    store("shop", "/tmp/b", count=2)
    store("web", "/tmp/a")
    versions.save_document(admin, document("A", default={"action": "alert"}, rules=[rule("A", enabled=False)]), 1)
    new = rule("Quiet shop", resource_scope=SHOP)
    drafts.change_draft(draft_state(admin), edits.add_rule(new))
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Nowhere", resource_scope=NOWHERE)))
    page = _text(reading.get(EFFECT, {"of": "draft"}, headers=HTMX))
    assert "decided <strong>2</strong> of 3 events differently" in page
    assert "<strong>2</strong> alerts would disappear, <strong>0</strong> would appear" in page
    shop, nowhere = page.split('hx-swap-oob="true">')[1:]
    assert "decides 0 → 5 executions, 5 otherwise than before; 2 alerts disappear, 0 appear" in shop
    assert "its scope matches 1 of 2 workloads" in shop
    assert "matches no workload" in nowhere


def test_the_default_rule_s_effect_is_counted_before_it_is_applied(
    reading: Client, admin: Any, store: Callable[..., Any]
) -> None:
    store("shop", "/tmp/a", count=3)
    versions.save_document(admin, document(default={"action": "ignore"}), 1)
    page = _text(reading.get(EFFECT, {"of": "default:alert"}, headers=HTMX))
    assert "<strong>0</strong> alerts would disappear, <strong>1</strong> would appear" in page
    assert "hx-swap-oob" not in page


def test_detection_kinds_that_are_left_out_show_the_alerts_that_go(
    reading: Client, admin: Any, store: Callable[..., Any]
) -> None:
    store("shop", "/tmp/a", count=3, kind="new_file")
    versions.save_document(admin, document(default={"action": "alert"}), 1)
    drafts.change_draft(draft_state(admin), edits.set_detect(["fileless"]))
    page = _text(reading.get(EFFECT, {"of": "draft"}, headers=HTMX))
    assert "3 executions otherwise than before; 1 alert disappears, 0 appear" in page


def test_too_many_events_are_left_to_a_backtest(
    reading: Client, admin: Any, store: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store("shop", "/tmp/a")
    monkeypatch.setattr(quick_comparison, "SECONDS", 0)
    drafts.change_draft(draft_state(admin), edits.set_default_action("alert"))
    assert "A backtest counts them all." in _text(reading.get(EFFECT, {"of": "draft"}, headers=HTMX))
    monkeypatch.setattr(effects, "quick_comparison", lambda *_: QueryLimit.OWN_QUERY)
    assert "Another count is running" in _text(reading.get(EFFECT, {"of": "draft"}, headers=HTMX))


@pytest.mark.parametrize("is_statement", [True, False])
def test_workloads_that_are_not_counted_within_the_same_time_are_left_out_and_the_page_says_so(
    reading: Client, admin: Any, store: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, is_statement: bool
) -> None:
    store("shop", "/tmp/a")
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Quiet shop", resource_scope=SHOP)))
    counted, now = rule_effect.seen_workloads, time.monotonic

    def slow(*arguments: Any) -> Any:
        if is_statement:
            raise StatementTimeout
        monkeypatch.setattr(time, "monotonic", lambda: now() + 3_600)
        return counted(*arguments)

    monkeypatch.setattr(matched_workloads, "seen_workloads", slow)
    page = _text(reading.get(EFFECT, {"of": "draft"}, headers=HTMX))
    monkeypatch.undo()
    assert "differently: <strong>0</strong> alerts would disappear" in page
    assert "How many workloads a scope matches was not counted in time." in page
    assert "its scope" not in page


def test_no_statement_may_take_longer_than_what_is_left_of_the_time(
    reading: Client, admin: Any, store: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store("shop", "/tmp/a")
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Quiet shop", resource_scope=SHOP)))
    limits: list[int] = []

    def limit() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'")
            return int(cursor.fetchone()[0])

    def noted(compared: Callable[..., Any]) -> Callable[..., Any]:
        def note(*arguments: Any) -> Any:
            limits.append(limit())
            return compared(*arguments)

        return note

    now = time.monotonic
    slow = noted(comparison.Comparison.count)

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(time, "monotonic", lambda: now() + 30)
        return slow(*arguments)

    monkeypatch.setattr(quick_comparison, "SECONDS", 60)
    monkeypatch.setattr(comparison.Comparison, "classify", noted(comparison.Comparison.classify))
    monkeypatch.setattr(comparison.Comparison, "count", late)
    monkeypatch.setattr(quick_comparison, "matched_workloads", noted(matched_workloads.matched_workloads))
    assert "1 of 1 workload" in _text(reading.get(EFFECT, {"of": "draft"}, headers=HTMX))
    monkeypatch.undo()
    first, later, last = limits
    assert first == 60_000
    assert last <= 30_000 < later < 60_000


def test_a_rule_that_decides_before_and_after_counts_once_and_a_move_between_two_for_both() -> None:
    def side(rule: str, action: str) -> dict[str, str]:
        return {"rule": rule, "name": rule, "action": action}

    moves = [("a", "alert", "a", "ignore", 1), ("a", "alert", "b", "ignore", 2), ("a", "alert", "b", "alert", 4)]
    transitions = [
        {"before": side(*move[:2]), "after": side(*move[2:4]), "execs": move[4], "vanish": move[4], "appear": 0}
        for move in moves
    ]
    rules = [{"rule": "a", "execs_before": 7, "execs_after": 1}, {"rule": "b", "execs_before": 0, "execs_after": 6}]
    changes: Any = [SimpleNamespace(rule=name) for name in ("a", "b", "c")]
    assert change_effects(cast("Result", {"rules": rules, "transitions": transitions}), changes) == [
        ChangeEffect(7, 1, 3, 7, 0),
        ChangeEffect(0, 6, 2, 6, 0),
        ChangeEffect(0, 0, 0, 0, 0),
    ]


def test_a_pair_that_does_not_exist_is_404(reading: Client) -> None:
    assert reading.get(EFFECT, {"of": "versions:1:99"}).status_code == 404
    assert reading.get(EFFECT).status_code == 404


def test_figures_of_another_pair_than_the_page_shows_are_refused(
    reading: Client, admin: Any, store: Callable[..., Any]
) -> None:
    store("shop", "/tmp/a")
    drafts.change_draft(draft_state(admin), edits.set_default_action("alert"))
    review = _text(reading.get("/settings/policy/review/", headers=HTMX))
    [url] = set(re.findall(r'hx-get="(/settings/policy/effect/[^"]*)"', review))
    assert "1 appears" in _text(reading.get(unescape(url), headers=HTMX))
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Another")))
    answer = _text(reading.get(unescape(url), headers=HTMX))
    assert "has changed since it was shown" in answer
    assert "would appear" not in answer
    assert "hx-swap-oob" not in answer


def test_figures_of_the_default_rule_are_those_of_the_draft_that_its_panel_shows(
    reading: Client, admin: Any, store: Callable[..., Any]
) -> None:
    store("shop", "/tmp/a")
    versions.save_document(admin, document(default={"action": "ignore"}), 1)
    panel = _text(reading.get("/settings/policy/rule/?rule=default", headers=HTMX))
    [url] = set(re.findall(r'hx-get="(/settings/policy/effect/[^"]*)"', panel))
    assert "1</strong> would appear" in _text(reading.get(unescape(url), headers=HTMX))
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Another")))
    answer = _text(reading.get(unescape(url), headers=HTMX))
    assert "has changed since it was shown" in answer
    assert "would appear" not in answer


def test_a_proposal_that_conflicts_still_shows_what_it_would_have_done(
    reading: Client, admin: Any, operator: Any, store: Callable[..., Any]
) -> None:
    store("shop", "/tmp/a")
    versions.save_document(admin, document(rules=[rule("A", action="alert", severity="low")]), 1)
    for user, severity, action in ((operator, "high", "ignore"), (admin, "medium", "alert")):
        state = draft_state(user)
        changed = {**state.document["rules"][0], "severity": severity, "action": action}
        drafts.change_draft(state, edits.put_rule(changed))
    _, proposal = proposals.propose_draft(draft_state(operator))
    versions.save_draft(draft_state(admin))
    panel = _text(reading.get(f"/settings/policy/proposals/{proposal.pk}/", headers=HTMX))
    assert "Cannot be accepted as it is" in panel
    [url] = set(re.findall(r'hx-get="(/settings/policy/effect/[^"]*)"', panel))
    assert f"of=proposal%3A{proposal.pk}&" in unescape(url)
    assert "<strong>1</strong> alert would disappear" in _text(reading.get(unescape(url), headers=HTMX))


def test_a_page_names_no_more_days_than_events_are_stored(
    reading: Client, admin: Any, store: Callable[..., Any], settings: Any
) -> None:
    settings.EVENT_RETENTION_DAYS = 3
    store("shop", "/tmp/a")
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Quiet shop", resource_scope=SHOP)))
    page = _text(reading.get(EFFECT, {"of": "draft"}, headers=HTMX))
    assert "In the last 3 days it would have" in page
    assert "Last 3 days: decides" in page
    typed = {"name": "New", "action": "ignore", "scope_description": "S", "scope": ["azure"]}
    panel = _text(reading.post("/alerts/decided/rule/", typed))
    assert "executions in the last 3 days." in panel
    assert "at least" not in panel


def test_without_scripts_the_effect_is_a_page_that_names_each_rule(
    reading: Client, admin: Any, store: Callable[..., Any]
) -> None:
    store("shop", "/tmp/a", count=3)
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Quiet <b>", resource_scope=SHOP)))
    review = _text(reading.get("/settings/policy/review/"))
    [url] = re.findall(r'<a href="(/settings/policy/effect/[^"]*)"', review)
    page = _text(reading.get(unescape(url)))
    assert "</html>" in page
    assert "<strong>Quiet &lt;b&gt;</strong>" in page
    assert "decides 0 → 3 executions" in page
    assert "hx-swap-oob" not in page


def test_a_busy_count_asks_again_by_itself(reading: Client, admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts.change_draft(draft_state(admin), edits.set_default_action("alert"))
    monkeypatch.setattr(effects, "quick_comparison", lambda *_: QueryLimit.OWN_QUERY)
    assert f'hx-get="{EFFECT}?of=draft" hx-trigger="load' in _text(reading.get(f"{EFFECT}?of=draft", headers=HTMX))
    assert "hx-trigger" not in _text(reading.get(f"{EFFECT}?of=draft")).partition("<main")[2]


def test_a_changed_scope_shows_the_workloads_before_and_after_and_a_removed_rule_those_it_had(
    reading: Client, admin: Any, store: Callable[..., Any]
) -> None:
    store("shop", "/tmp/a")
    store("web", "/tmp/a")
    before = [rule("Wide"), rule("Gone", resource_scope=SHOP), rule("Same", resource_scope=SHOP)]
    after = [rule("Wide", resource_scope=SHOP), rule("Same", resource_scope=SHOP, note="x")]
    versions.save_document(admin, document(rules=before), 1)
    versions.save_document(admin, document(rules=after), 2)
    gone, wide, same = _text(reading.get(f"{EFFECT}?of=versions:2:3", headers=HTMX)).split('hx-swap-oob="true">')[1:]
    assert "its scope matched 1 of 2 workloads" in gone
    assert "its scope matches 2 → 1 of 2 workloads" in wide
    assert "its scope matches 1 of 2 workloads" in same


def test_every_rule_has_its_figures_however_many_changed(
    reading: Client, admin: Any, store: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(comparison.compare.__kwdefaults__, "max_transitions", 1)  # type: ignore[arg-type] # a dict
    names = ["shop", "web", "cart"]
    scopes = [[{"property": "namespace", "any_of": [{"operator": "equals", "value": name}]}] for name in names]
    for name in names:
        store(name, "/tmp/a")
    alerting = [rule(name, action="alert", resource_scope=scope) for name, scope in zip(names, scopes, strict=True)]
    versions.save_document(admin, document(rules=alerting), 1)
    versions.save_document(admin, document(rules=[{**each, "action": "ignore"} for each in alerting]), 2)
    page = _text(reading.get(f"{EFFECT}?of=versions:2:3", headers=HTMX))
    assert page.count("1 otherwise than before; 1 alert disappears") == 3
