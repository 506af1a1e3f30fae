"""The pages and the API of noise budgets, and a run's life: started, performed once, cancelled, copied, outdated."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from drift.alerts.models import Alert, Binary, HashList, HashVerdict, ListedHash, Workload
from drift.backtest.actions import noise_runs as actions
from drift.backtest.actions import run_monitor, run_states
from drift.backtest.actions.noise_runs import NoiseRequest
from drift.backtest.domain.noise_chart import noise_bars
from drift.backtest.errors import (
    AlreadyFinished,
    BudgetInvalid,
    NoiseBusy,
    NothingPlanned,
    PeriodInvalid,
    PlaceUnknown,
    PlanContradicted,
    PlanOutdated,
)
from drift.backtest.models import NoiseMeasure, NoiseRun, RunState
from drift.fleet.models import Cluster, EnrolmentToken, Sensor
from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.backtest.noise_stored import store_noise

pytestmark = [pytest.mark.services, pytest.mark.django_db]
As = Callable[[Any], Client]
PAGE = "/settings/policy/noise-budgets/"
API = "/api/v1/noise-budgets/"


@pytest.fixture(autouse=True)
def _sent(queued: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    # A run's watcher sees only committed rows, and nothing here is committed.
    monkeypatch.setattr(run_monitor, "INTERVAL", 3_600)
    return queued


@pytest.fixture
def noise(cluster: Cluster) -> Cluster:
    """Twelve days of two hooks in kube-system, on which version 1 alerts, and of a file that is not absorbed."""
    store_noise(cluster)
    return cluster


@pytest.fixture
def sensor_row(cluster: Cluster) -> Sensor:
    token = EnrolmentToken.objects.create(environment=cluster.environment, prefix="noise", name="noise", digest=b"")
    return Sensor.objects.create(cluster=cluster, node="n", enrolment_token=token, credential_digest=b"")


def done(user: Any, alerts: int = 1, **asked: Any) -> NoiseRun:
    run = actions.start_noise_run(user, NoiseRequest(alerts, **asked))
    actions.perform_noise_run(run.pk)
    run.refresh_from_db()
    return run


def test_a_plan_is_found_confirmed_and_copied_to_the_draft(operator: Any, noise: Cluster) -> None:
    run = done(operator)
    assert (run.state, run.progress, run.error) == (RunState.DONE, 100, "")
    result = run.result or {}
    assert result["before"] == [3] * 12
    assert result["after"] == [1] * 12
    assert (result["reached"], len(result["changes"]), result["at_least"]) == (True, 1, 1)
    assert [(each["reason"], each["alerts"]) for each in result["refused"]] == [("person", 12)]
    state = actions.copy_to_draft(operator, run)
    assert state.document == run.document
    assert state.document["rules"][0]["name"].startswith("Noise: hook-0 and hook-1")
    # Copied again, nothing is added twice.
    assert actions.copy_to_draft(operator, run).document == run.document
    assert {entry.verb for entry in AuditEntry.objects.filter(object_type="noise budget")} == {"started"}


def test_a_plan_for_another_version_is_not_copied(admin: Any, noise: Cluster) -> None:
    run = done(admin)
    state = drafts.change_draft(draft_state(admin), edits.set_default_action("alert"))
    versions.save_draft(state)
    with pytest.raises(PlanOutdated):
        actions.copy_to_draft(admin, run)


def found_to_be_an_attack(path: str, sensor: Sensor, days_ago: int = 0) -> None:
    """Resolve an alert of the stored noise as a true positive."""
    binary, workload = Binary.objects.get(path=path), Workload.objects.get()
    Alert.objects.create(
        fingerprint=uuid.uuid4(),
        status="resolved",
        verdict="true_positive",
        closed_at=timezone.now() - dt.timedelta(days=days_ago),
        first_seen=timezone.now(),
        workload=workload,
        binary=binary,
        sensor=sensor,
        cluster=workload.cluster,
        namespace=workload.namespace,
        path=path,
        action="alert",
        reason="default",
        outcome="none",
    )


def test_a_plan_that_hides_what_was_found_to_be_an_attack_since_is_not_copied(
    operator: Any, noise: Cluster, sensor_row: Any
) -> None:
    run = done(operator)
    found_to_be_an_attack("/tmp/strace", sensor_row)
    assert actions.copy_to_draft(operator, run).document == run.document
    found_to_be_an_attack("/usr/local/lib/hook-1", sensor_row)
    with pytest.raises(PlanContradicted, match="/usr/local/lib/hook-1"):
        actions.copy_to_draft(operator, run)


def test_a_verdict_that_undo_gives_back_with_its_old_time_counts(
    operator: Any, noise: Cluster, sensor_row: Any
) -> None:
    run = done(operator)
    found_to_be_an_attack("/usr/local/lib/hook-1", sensor_row, days_ago=3)
    with pytest.raises(PlanContradicted, match="/usr/local/lib/hook-1"):
        actions.copy_to_draft(operator, run)


def test_a_plan_that_hides_what_is_listed_as_bad_since_is_not_copied(operator: Any, noise: Cluster) -> None:
    run = done(operator)
    bad = HashList.objects.create(name="bad", verdict=HashVerdict.BAD, size=1)
    ListedHash.objects.create(hash_list=bad, sha256="1" * 64)
    with pytest.raises(PlanContradicted, match="1" * 64):
        actions.copy_to_draft(operator, run)


def test_a_plan_that_is_days_old_says_so(client_of: As, operator: Any, noise: Cluster) -> None:
    run = done(operator)
    client = client_of(operator)
    assert "day old" not in client.get(f"{PAGE}{run.pk}/").content.decode()
    NoiseRun.objects.update(until=run.until - dt.timedelta(days=3))
    assert "This plan is 3 days old" in client.get(f"{PAGE}{run.pk}/").content.decode()
    copied = client.post(f"{PAGE}{run.pk}/copy/", follow=True).content.decode()
    assert "The plan is 3 days old: what ran since was not weighed." in copied


def test_the_chart_of_one_day_is_no_wall() -> None:
    one = {"first_day": "2026-11-01", "before": [9], "after": [1], "refused_days": [1]}
    assert noise_bars(one, 1)["width"] == 140
    month = {key: value * 30 if isinstance(value, list) else value for key, value in one.items()}
    assert noise_bars(month, 1)["width"] == 300


def test_nothing_is_copied_where_nothing_is_planned(operator: Any, noise: Cluster) -> None:
    run = done(operator, alerts=3)
    assert (run.result or {})["changes"] == []
    with pytest.raises(NothingPlanned):
        actions.copy_to_draft(operator, run)


def test_an_estate_without_events_has_nothing_to_do(operator: Any, cluster: Cluster) -> None:
    result = done(operator, alerts=0).result or {}
    assert (result["reached"], result["before"], result["changes"], result["refused"]) == (True, [0], [], [])


def test_a_place_is_one_of_the_estate(operator: Any, noise: Cluster) -> None:
    for asked in (
        NoiseRequest(1, environment=0),
        NoiseRequest(1, cluster=0),
        NoiseRequest(1, namespace="shop"),
        NoiseRequest(1, cluster=noise.pk, environment=noise.environment_id + 1),
    ):
        with pytest.raises(PlaceUnknown):
            actions.start_noise_run(operator, asked)
    for alerts in (-1, 100_001):
        with pytest.raises(BudgetInvalid):
            actions.start_noise_run(operator, NoiseRequest(alerts))
    for days in (0, 31):
        with pytest.raises(PeriodInvalid):
            actions.start_noise_run(operator, NoiseRequest(1, days=days))
    empty = done(operator, cluster=noise.pk, namespace="shop", alerts=0)
    assert ((empty.result or {})["reached"], empty.place) == (True, f"{noise} / shop")
    assert (done(operator, environment=noise.environment_id).result or {})["before"] == [3] * 12


def test_a_user_runs_one_at_a_time(operator: Any, admin: Any, cluster: Cluster) -> None:
    run = actions.start_noise_run(operator, NoiseRequest(1))
    with pytest.raises(NoiseBusy):
        actions.start_noise_run(operator, NoiseRequest(2))
    actions.start_noise_run(admin, NoiseRequest(1))
    assert actions.cancel_noise_run(operator, run.pk).state == RunState.CANCELLED
    with pytest.raises(AlreadyFinished):
        actions.cancel_noise_run(operator, run.pk)
    actions.perform_noise_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.result) == (RunState.CANCELLED, None)
    actions.start_noise_run(operator, NoiseRequest(2))


def test_a_plan_that_its_backtest_does_not_confirm_is_not_shown(
    operator: Any, noise: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drift.backtest.queries import noise_budget as queries
    from drift.backtest.queries.noise_check import CheckedDays

    monkeypatch.setattr(queries, "checked_days", lambda *_, **__: CheckedDays([3] * 12, [2] * 12, 0, 0))
    run = actions.start_noise_run(operator, NoiseRequest(1))
    with pytest.raises(Exception, match="did not confirm"):
        actions.perform_noise_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.result, run.document) == (RunState.FAILED, None, None)
    assert "did not confirm the plan" in run.error


def test_too_many_events_end_a_run_with_what_to_do(
    operator: Any, noise: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drift.backtest.queries import noise_events

    monkeypatch.setattr(noise_events, "MAX_EVIDENCE", 2)
    run = done(operator)
    assert (run.state, "Choose fewer days" in run.error) == (RunState.FAILED, True)


def test_what_nobody_claims_or_loses_its_worker_is_swept(operator: Any, cluster: Cluster, queued: list[Any]) -> None:
    run = actions.start_noise_run(operator, NoiseRequest(1))
    queued.clear()
    actions.sweep_noise_runs(run.touched_at + run_states.UNCLAIMED_AFTER * 2)
    assert [name for name, _ in queued] in ([actions.TASK], [])
    NoiseRun.objects.update(state=RunState.RUNNING)
    actions.sweep_noise_runs(run.touched_at + run_states.LOST_AFTER * 2)
    run.refresh_from_db()
    assert (run.state, run.error) == (RunState.FAILED, "The worker was lost. Start it again.")


def test_the_page_starts_a_run_and_shows_its_plan(client_of: As, operator: Any, noise: Cluster) -> None:
    client = client_of(operator)
    empty = client.get(PAGE).content.decode()
    assert "No noise budgets yet" in empty
    form = {"alerts": "1", "days": "30", "measure": "every_day", "place": f"namespace:{noise.pk}:kube-system"}
    answer = client.post(PAGE, form)
    run = NoiseRun.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{PAGE}{run.pk}/")
    assert (run.cluster, run.namespace, run.measure) == (noise, "kube-system", NoiseMeasure.EVERY_DAY)
    assert "every 1s" in client.get(f"{PAGE}{run.pk}/").content.decode()
    actions.perform_noise_run(run.pk)
    page = client.get(f"{PAGE}{run.pk}/").content.decode()
    assert "1 change would have kept the budget" in page
    assert "Started or written by somebody who entered the container" in page
    copied = client.post(f"{PAGE}{run.pk}/copy/", follow=True)
    assert "are in your draft" in copied.content.decode()
    assert draft_state(operator).is_dirty


@pytest.mark.parametrize(
    ("measure", "alerts", "refused", "words"),
    [
        ("every_day", 1, [0, 2], "The budget can't be kept: on 1 of 2 days the alerts that it refuses to absorb"),
        ("average", 1, [1, 2], "The budget can't be kept: what it refuses to absorb is too much."),
        ("average", 1, [0, 2], "No plan of at most ten rules that keeps the budget was found."),
        ("every_day", 2, [0, 2], "No plan of at most ten rules that keeps the budget was found."),
    ],
)
def test_a_plan_that_falls_short_says_whether_what_it_refuses_is_the_reason(
    client_of: As, operator: Any, noise: Cluster, measure: str, alerts: int, refused: list[int], words: str
) -> None:
    run = done(operator, alerts, measure=measure)
    days = {"days": 2, "before": [9, 9], "after": [3, 3], "refused_days": refused}
    NoiseRun.objects.filter(pk=run.pk).update(result={**(run.result or {}), **days, "reached": False})
    assert words in unescape(client_of(operator).get(f"{PAGE}{run.pk}/").content.decode())


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"alerts": "x", "days": "30"}, "Choose 0 to 100,000"),
        ({"alerts": "-1", "days": "30"}, "Choose 0 to 100,000"),
        ({"alerts": "1", "days": "99"}, "Choose 1 to 30 days"),
        ({"alerts": "1", "days": "7", "place": "cluster:x"}, "not in the estate"),
        ({"alerts": "1", "days": "7", "place": "namespace:9999999:x"}, "not in the estate"),
    ],
)
def test_what_is_typed_wrongly_is_an_error_in_the_form(
    client_of: As, operator: Any, form: dict[str, str], error: str
) -> None:
    answer = client_of(operator).post(PAGE, form)
    assert (answer.status_code, error in answer.content.decode()) == (422, True)
    assert not NoiseRun.objects.exists()


def test_a_form_with_an_error_keeps_its_place(client_of: As, operator: Any, noise: Cluster) -> None:
    for place in (f"environment:{noise.environment_id}", f"cluster:{noise.pk}", f"namespace:{noise.pk}:kube-system"):
        answer = client_of(operator).post(PAGE, {"alerts": "x", "days": "7", "place": place})
        assert f'<option value="{place}" selected>' in answer.content.decode()


@pytest.mark.parametrize("namespace", ["a\0b", "x" * 300])
def test_a_namespace_that_none_can_have_is_not_in_the_estate(
    client_of: As, operator: Any, noise: Cluster, namespace: str
) -> None:
    answer = client_of(operator).post(PAGE, {"alerts": "1", "days": "7", "place": f"namespace:{noise.pk}:{namespace}"})
    assert (answer.status_code, "not in the estate" in answer.content.decode()) == (422, True)


def test_the_command_prints_the_plan_of_a_place(noise: Cluster, tmp_path: Path) -> None:
    output, file = StringIO(), tmp_path / "policy.json"
    call_command("noise_budget", 1, cluster=noise.pk, document=file, stdout=output)
    assert "Alerts a day: 3.0 → 1.0 on average" in output.getvalue()
    assert json.loads(file.read_text())["rules"][0]["name"].startswith("Noise: hook-0 and hook-1")


@pytest.mark.parametrize("place", [{"environment": 0}, {"cluster": 0}, {"namespace": "shop"}])
def test_the_command_knows_only_places_of_the_estate(noise: Cluster, place: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as error:
        call_command("noise_budget", 1, **place)
    assert error.value.returncode == 2


def test_readers_see_plans_and_change_nothing(client_of: As, api_of: As, reader: Any, operator: Any) -> None:
    run = actions.start_noise_run(operator, NoiseRequest(1))
    browser, api = client_of(reader), api_of(reader)
    assert browser.get(PAGE).status_code == browser.get(f"{PAGE}{run.pk}/").status_code == 200
    assert api.get(API).status_code == api.get(f"{API}{run.pk}/").status_code == 200
    for path in ("", f"{run.pk}/cancel/", f"{run.pk}/copy/"):
        assert browser.post(f"{PAGE}{path}", {"alerts": "1", "days": "7"}).status_code == 403
        assert api.post(f"{API}{path}", {"alerts": 1}, "application/json").status_code == 403


def test_the_api_finds_a_plan_and_copies_it(api_of: As, operator: Any, noise: Cluster) -> None:
    api = api_of(operator)
    answer = api.post(API, {"alerts": 1, "cluster": noise.pk}, "application/json")
    started = answer.json()
    assert (answer.status_code, started["state"], started["cluster"]) == (202, "queued", noise.pk)
    assert api.post(API, {"alerts": 1}, "application/json").json()["code"] == "noise_busy"
    assert api.post(f"{API}{started['id']}/copy/").json()["code"] == "nothing_planned"
    actions.perform_noise_run(started["id"])
    found = api.get(f"{API}{started['id']}/").json()
    assert (found["state"], found["result"]["reached"]) == ("done", True)
    assert api.post(f"{API}{started['id']}/copy/").status_code == 200
    assert draft_state(operator).document == found["document"]
