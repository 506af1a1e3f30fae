"""Start, run, cancel and sweep noise budgets, and copy their changes to a draft."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.roles import Role
from drift.backtest.actions.run_states import claim, end, follow, request_cancel, sweep_runs
from drift.backtest.actions.runs import period_start
from drift.backtest.domain.noise_copy import with_planned_rules
from drift.backtest.domain.noise_evidence import MAX_DAYS, NoiseBudget, NoisePlace
from drift.backtest.errors import (
    BudgetInvalid,
    NoiseBusy,
    NothingPlanned,
    PeriodInvalid,
    PlaceUnknown,
    PlanContradicted,
    PlanOutdated,
    TooManyRuns,
)
from drift.backtest.models import UNFINISHED, NoiseMeasure, NoiseRun, RunState
from drift.backtest.queries.noise_budget import noise_budget
from drift.backtest.queries.noise_contradictions import contradiction
from drift.fleet.models import Cluster, Environment
from drift.policy.actions.drafts import change_draft
from drift.policy.queries.drafts import DraftState, draft_state
from drift.policy.queries.versions import latest_number, latest_version
from drift.queue import enqueue

MAX_UNFINISHED: Final = 3
MAX_ALERTS: Final = 100_000
MAX_NAMESPACE: Final = 256
TASK: Final = "backtest.find_noise_budget"


@dataclass(frozen=True)
class NoiseRequest:
    """What a user asks: at most `alerts` a day in a place, over the last `days` days; None and "" are the estate."""

    alerts: int
    days: int = MAX_DAYS
    measure: str = NoiseMeasure.EVERY_DAY
    changing: bool = False
    environment: int | None = None
    cluster: int | None = None
    namespace: str = ""


@transaction.atomic(durable=True)
def start_noise_run(user: User, asked: NoiseRequest) -> NoiseRun:
    """Store and queue a run under the latest version.

    Raises BudgetInvalid, PeriodInvalid, PlaceUnknown, TooManyRuns; NoiseBusy while another run of the user lasts.
    """
    now = timezone.now()
    if not 0 <= asked.alerts <= MAX_ALERTS:
        raise BudgetInvalid(MAX_ALERTS)
    if asked.days > MAX_DAYS:
        raise PeriodInvalid(min(MAX_DAYS, settings.EVENT_RETENTION_DAYS))
    run = NoiseRun(
        started_by=user,
        base=latest_version(),
        alerts=asked.alerts,
        measure=asked.measure,
        changing=asked.changing,
        first_day=period_start(asked.days, now),
        until=now,
        **_place(user, asked),
    )
    if NoiseRun.objects.filter(state__in=UNFINISHED).exclude(started_by=user).count() >= MAX_UNFINISHED:
        raise TooManyRuns
    try:
        # A savepoint: without it the failed INSERT would abort the caller's whole transaction.
        with transaction.atomic():
            run.save()
    except IntegrityError:
        raise NoiseBusy from None
    after = {"alerts": asked.alerts, "days": asked.days, "place": run.place, "base": run.base_id}
    audit.record(user, "started", "noise budget", run.pk, name=str(run), after=after)
    enqueue(TASK, run.pk)
    return run


@transaction.atomic(durable=True)
def cancel_noise_run(user: User, run_id: int) -> NoiseRun:
    """Cancel a run: at once while it is queued, else as soon as its worker notices. Raises AlreadyFinished."""
    run: NoiseRun = NoiseRun.objects.select_for_update().get(pk=run_id)
    request_cancel(run, user, "noise budget")
    return run


def perform_noise_run(run_id: int) -> None:
    """Run a queued noise budget. Does nothing if another worker has claimed it or it has ended."""
    if not claim(NoiseRun, run_id):
        return
    run = NoiseRun.objects.select_related("base", "started_by").get(pk=run_id)
    if not run.started_by.has_role(Role.OPERATOR) or not run.started_by.sees_whole_estate:
        end(NoiseRun, run_id, RunState.FAILED, error="What you may see has changed since. Start it again.")
        return
    place = NoisePlace(run.environment_id, run.cluster_id, run.namespace)
    budget = NoiseBudget(run.alerts, place, run.measure, run.changing)

    def work(report: Callable[[int], bool]) -> dict[str, Any]:
        result, document = noise_budget(run.base.document, budget, run.first_day, run.until, report)
        return {"result": result, "document": document}

    follow(NoiseRun, run_id, work)


def sweep_noise_runs(now: dt.datetime) -> None:
    """Queue runs again that no worker claimed, fail those whose worker is lost, delete old ones."""
    sweep_runs(NoiseRun, TASK, now)


def copy_to_draft(user: User, run: NoiseRun) -> DraftState:
    """Add the plan's rules to the user's draft, where the plan has them, and return the draft.

    Raises NothingPlanned; PlanOutdated where another version was saved since; PlanContradicted where what it hides was
    found to be an attack since; StaleDraft, DocumentInvalid.
    """
    if not run.result or not run.document or not run.result["changes"]:
        raise NothingPlanned
    if latest_number() != run.base_id:
        raise PlanOutdated
    state = draft_state(user)
    if state.base.number != run.base_id:
        raise PlanOutdated
    rules = [change["rule"] for change in run.result["changes"]]
    order = [rule["id"] for rule in run.document["rules"]]
    attack = contradiction(rules)
    if attack is not None:
        raise PlanContradicted(attack)
    return change_draft(state, lambda document: with_planned_rules(document, rules, order), f"Changes of {run} copied")


def _place(user: User, asked: NoiseRequest) -> dict[str, Any]:
    """Return the run's place. Raises PlaceUnknown."""
    if asked.cluster is not None:
        cluster = Cluster.objects.visible_to(user).filter(pk=asked.cluster).first()
        if cluster is None or asked.environment not in (None, cluster.environment_id):
            raise PlaceUnknown
        if len(asked.namespace) > MAX_NAMESPACE or "\0" in asked.namespace:
            raise PlaceUnknown
        return {"cluster": cluster, "namespace": asked.namespace}
    if asked.namespace:
        raise PlaceUnknown
    if asked.environment is not None:
        environment = Environment.objects.visible_to(user).filter(pk=asked.environment).first()
        if environment is None:
            raise PlaceUnknown
        return {"environment": environment}
    return {}
