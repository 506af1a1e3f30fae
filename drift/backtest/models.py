"""Runs of backtests and of noise budgets: what they were asked, progress and result."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import OwnOfScope, User, VisibleQuerySet, WholeEstateOnly
from drift.fleet.models import Cluster, Environment
from drift.policy.models import PolicyVersion


class RunState(models.TextChoices):
    QUEUED = "queued", "Waiting for a worker"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


UNFINISHED = (RunState.QUEUED, RunState.RUNNING)


def _run_constraints(name: str) -> list[models.BaseConstraint]:
    """Return what holds for every kind of run: a known state, percent done, and an end once it has ended."""
    unfinished: dict[str, Any] = {"state__in": UNFINISHED}
    return [
        models.CheckConstraint(condition=Q(state__in=RunState.values), name=f"{name}_state_is_known"),
        models.CheckConstraint(condition=Q(progress__lte=100), name=f"{name}_progress_in_percent"),
        models.CheckConstraint(
            condition=Q(**unfinished, finished_at=None) | (~Q(**unfinished) & Q(finished_at__isnull=False)),
            name=f"{name}_end_is_dated",
        ),
    ]


class BacktestRun(models.Model):
    """One document against the events observed from `first_day` until `until`, compared with version `base`.

    `result` is a Result (drift.backtest.domain.result) as JSON, None until the run is done. `progress` is in percent.
    A worker claims a queued run by a conditional UPDATE, so a message that comes twice runs it once.
    """

    started_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    narrowed_by = models.BigIntegerField(null=True)
    """The scoped API token that started it. No foreign key: once the token is gone, the run may see nothing."""
    scope_digest = models.CharField(max_length=64, blank=True, default="", db_default="")
    """The scope whose events it counts; empty: the whole estate."""
    base = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    first_day = models.DateField()
    until = models.DateTimeField()
    state = models.CharField(max_length=16, choices=RunState, default=RunState.QUEUED)
    progress = models.PositiveSmallIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=1_000, blank=True)
    result = models.JSONField(null=True)

    visibility: ClassVar = OwnOfScope("started_by", "scope_digest")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = _run_constraints("backtest")
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="backtests_by_start"),
            models.Index(fields=["touched_at"], condition=Q(state__in=UNFINISHED), name="backtests_unfinished"),
        ]

    def __str__(self) -> str:
        return f"backtest {self.pk}"

    @property
    def is_limited(self) -> bool:
        """Whether it counts only the events in the scope of who started it."""
        return bool(self.scope_digest)

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED


class NoiseMeasure(models.TextChoices):
    EVERY_DAY = "every_day", "on every day"
    AVERAGE = "average", "on average"


class NoiseRun(models.Model):
    """A noise budget: at most `alerts` a day in a place, from `first_day` until `until`, under version `base`.

    `result` is a NoiseResult (drift.backtest.domain.noise_result) as JSON and `document` the policy with its changes;
    both None until the run is done. Claimed as a backtest is. A user runs one at a time.
    """

    started_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    base = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    alerts = models.PositiveIntegerField()
    measure = models.CharField(max_length=16, choices=NoiseMeasure, default=NoiseMeasure.EVERY_DAY)
    changing = models.BooleanField(default=False)
    """Whether rules may cover contents that are new each time, by path, writer and session."""
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, null=True, related_name="+")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, null=True, related_name="+")
    namespace = models.CharField(max_length=256, blank=True)
    first_day = models.DateField()
    until = models.DateTimeField()
    state = models.CharField(max_length=16, choices=RunState, default=RunState.QUEUED)
    progress = models.PositiveSmallIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=1_000, blank=True)
    result = models.JSONField(null=True)
    document = models.JSONField(null=True)

    visibility: ClassVar = WholeEstateOnly("plans change the one policy, and weigh the whole estate")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            *_run_constraints("noise"),
            models.CheckConstraint(condition=Q(measure__in=NoiseMeasure.values), name="noise_measure_is_known"),
            models.CheckConstraint(
                condition=Q(namespace="") | Q(cluster__isnull=False), name="noise_namespace_is_of_a_cluster"
            ),
            models.CheckConstraint(condition=Q(environment=None) | Q(cluster=None), name="noise_place_is_one"),
            models.UniqueConstraint(
                fields=["started_by"], condition=Q(state__in=UNFINISHED), name="one_noise_run_each"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="noise_runs_by_start"),
            models.Index(fields=["touched_at"], condition=Q(state__in=UNFINISHED), name="noise_runs_unfinished"),
        ]

    def __str__(self) -> str:
        return f"noise budget {self.pk}"

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED

    @property
    def place(self) -> str:
        """Where it holds, in words."""
        if self.cluster:
            return f"{self.cluster} / {self.namespace}" if self.namespace else str(self.cluster)
        return str(self.environment) if self.environment else "the whole estate"
