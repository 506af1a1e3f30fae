"""What beat asks for. Each may run twice."""

from __future__ import annotations

from celery import shared_task

from drift.alerts.actions import alert_rates as rates
from drift.alerts.actions import count_rule_hits as hits
from drift.alerts.actions import fold_tallies as tallies
from drift.alerts.actions import partitions, retention


@shared_task(name="alerts.keep_partitions")
def keep_partitions() -> None:
    """Make the event table ready for the days to come; drop days, alerts and interned rows past their retention."""
    partitions.keep_partitions()
    retention.drop_expired()
    tallies.drop_empty()
    hits.thin()
    rates.forget()


@shared_task(name="alerts.fold_tallies")
def fold_tallies() -> None:
    """Add up what changed about the number of alerts."""
    tallies.fold()


@shared_task(name="alerts.fold_hits")
def fold_hits() -> None:
    """Add up what every rule decided."""
    hits.fold()


@shared_task(name="alerts.report_rates")
def report_rates() -> None:
    """Let rollouts halt whose sensors alert too much."""
    rates.report()
