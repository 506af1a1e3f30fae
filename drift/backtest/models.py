"""Backtest runs: document, period, progress and result."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import OwnOfScope, User, VisibleQuerySet
from drift.policy.models import PolicyVersion


class RunState(models.TextChoices):
    QUEUED = "queued", "Waiting for a worker"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


UNFINISHED = (RunState.QUEUED, RunState.RUNNING)


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
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="backtest_state_is_known"),
            models.CheckConstraint(condition=Q(progress__lte=100), name="backtest_progress_in_percent"),
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED, finished_at=None)
                | (~Q(state__in=UNFINISHED) & Q(finished_at__isnull=False)),
                name="backtest_end_is_dated",
            ),
        ]
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
