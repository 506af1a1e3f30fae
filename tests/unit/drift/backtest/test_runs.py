"""A run's life: started, performed once, cancelled, swept."""

from __future__ import annotations

import datetime as dt
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEntry
from drift.backtest.actions import runs as actions
from drift.backtest.errors import AlreadyFinished, BaseUnknown, PeriodInvalid, TooManyRuns
from drift.backtest.models import BacktestRun, RunState
from drift.policy.errors import DocumentInvalid
from sensor.policy import default_document
from tests.unit.drift.backtest.test_comparison import SHOP, document

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Store = Callable[..., Any]


@pytest.fixture(autouse=True)
def _sent(queued: list[Any]) -> list[Any]:
    return queued


def start(user: Any, **changes: Any) -> BacktestRun:
    return actions.start(**{"user": user, "document": document(SHOP), "base": 1, "days": 7, **changes})


def test_a_run_is_stored_and_audited_and_covers_whole_days(operator: Any) -> None:
    run = start(operator, days=7)
    assert (run.state, run.progress, run.base_id, run.started_by) == (RunState.QUEUED, 0, 1, operator)
    assert run.first_day == run.until.date() - dt.timedelta(days=6)
    assert AuditEntry.objects.get(object_type="backtest").verb == "started"


@pytest.mark.django_db(transaction=True)
def test_the_task_is_queued_once_the_run_is_committed(operator: Any, queued: list[Any]) -> None:
    assert [("backtest.run", (start(operator).pk,))] == queued


def test_an_equal_run_in_progress_is_returned(operator: Any, admin: Any) -> None:
    run = start(operator)
    assert start(operator) == run
    assert start(operator, days=1) != run
    assert start(admin) != run
    actions.cancel(operator, run.pk)
    assert start(operator) != run


def test_an_invalid_run_is_rejected(operator: Any) -> None:
    for days in (0, 31, -1):
        with pytest.raises(PeriodInvalid):
            start(operator, days=days)
    with pytest.raises(BaseUnknown):
        start(operator, base=99)
    with pytest.raises(DocumentInvalid):
        start(operator, document={"schema": 1})
    for days in range(1, 5):
        start(operator, days=days)
    with pytest.raises(TooManyRuns):
        start(operator, days=5)
    assert BacktestRun.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_run_is_performed_once(operator: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store("shop")
    run = start(operator)
    actions.perform(run.pk)
    run.refresh_from_db()
    assert (run.state, run.progress, run.is_finished) == (RunState.DONE, 100, True)
    assert (run.result or {})["alerts"]["appear"] == 1
    monkeypatch.setattr(actions, "compare", lambda *_, **__: pytest.fail("performed twice"))
    actions.perform(run.pk)


def test_a_queued_run_is_cancelled_at_once_and_never_performed(operator: Any) -> None:
    run = actions.cancel(operator, start(operator).pk)
    assert run.state == RunState.CANCELLED
    actions.perform(run.pk)
    run.refresh_from_db()
    assert (run.state, run.result) == (RunState.CANCELLED, None)
    with pytest.raises(AlreadyFinished):
        actions.cancel(operator, run.pk)


@pytest.mark.django_db(transaction=True)
def test_a_running_backtest_is_cancelled_during_its_query(operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(operator)

    def slow(*_: Any, **__: Any) -> Any:
        actions.cancel(operator, run.pk)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(120)")
        pytest.fail("the statement was not cancelled")

    monkeypatch.setattr(actions, "compare", slow)
    actions.perform(run.pk)
    run.refresh_from_db()
    assert (run.state, run.result, run.error) == (RunState.CANCELLED, None, "")


@pytest.mark.django_db(transaction=True)
def test_progress_is_visible_during_a_run(operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(operator)

    def slow(*arguments: Any, **__: Any) -> Any:
        report = arguments[-1]
        report(40)
        while BacktestRun.objects.get(pk=run.pk).progress != 40:
            time.sleep(0.02)
        return {}

    monkeypatch.setattr(actions, "compare", slow)
    actions.perform(run.pk)
    run.refresh_from_db()
    assert (run.state, run.progress) == (RunState.DONE, 100)


@pytest.mark.django_db(transaction=True)
def test_a_failed_run_shows_that_and_leaves_the_details_to_the_log(
    operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("secret detail")

    run = start(operator)
    monkeypatch.setattr(actions, "compare", broken)
    with pytest.raises(ValueError, match="secret"):
        actions.perform(run.pk)
    run.refresh_from_db()
    assert (run.state, "secret" in run.error, run.error != "") == (RunState.FAILED, False, True)


def test_the_sweeper_queues_again_fails_lost_runs_and_deletes_old_ones(
    operator: Any, admin: Any, queued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    now = timezone.now()
    waiting, lost, old = start(operator), start(operator, days=1), start(admin)
    BacktestRun.objects.filter(pk=lost.pk).update(state=RunState.RUNNING)
    BacktestRun.objects.filter(pk=old.pk).update(
        state=RunState.DONE, finished_at=now, created_at=now - dt.timedelta(days=31)
    )
    actions.sweep(now)
    assert set(BacktestRun.objects.values_list("state", flat=True)) == {RunState.QUEUED, RunState.RUNNING}
    with django_capture_on_commit_callbacks(execute=True):
        actions.sweep(now + dt.timedelta(minutes=10))
    assert queued == [("backtest.run", (waiting.pk,))]
    lost.refresh_from_db()
    assert (lost.state, lost.error != "") == (RunState.FAILED, True)
    waiting.refresh_from_db()
    assert waiting.state == RunState.QUEUED


def test_the_command_prints_the_table(store: Store, tmp_path: Path) -> None:
    store("shop", path="/tmp/x\x1b[2J", count=3)
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(document(SHOP)))
    out = io.StringIO()
    call_command("policy", "backtest", str(file), "--days", "2", stdout=out)
    printed = out.getvalue()
    assert "1 events (3 execs) of 1 workloads; 1 decided differently than by v1" in printed
    assert "Alerts: 0 → 1 (0 disappear, 1 appear); blocking: 0 → 0" in printed
    assert "/tmp/x\\u001b[2J  in blue/shop/app" in printed
    assert "\x1b" not in printed
    assert BacktestRun.objects.count() == 0


def test_the_command_rejects_a_period_without_events(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(default_document()))
    with pytest.raises(CommandError, match="1 to 30 days") as refused:
        call_command("policy", "backtest", str(file), "--days", "99", stdout=io.StringIO())
    assert refused.value.returncode == 2
