"""Tasks on beat's schedule. Each may run twice."""

from __future__ import annotations

from celery import shared_task

from drift.alerts.actions import (
    alert_budgets,
    alert_rates,
    count_rule_hits,
    event_command_lines,
    fold_tallies,
    partitions,
    retention,
    score_alerts,
    set_aside,
    store_execs,
    store_pod_entries,
)


@shared_task(name="alerts.keep_partitions")
def keep_partitions() -> None:
    """Create the event table's next partitions; delete expired partitions and rows."""
    partitions.keep_partitions()
    retention.delete_expired()
    fold_tallies.delete_empty_tallies()
    count_rule_hits.delete_old_hits()
    alert_rates.delete_old_rates()
    alert_budgets.delete_old_budgets()
    store_execs.delete_expired_execs()
    store_pod_entries.delete_expired_entries()


@shared_task(name="alerts.delete_command_lines")
def delete_command_lines() -> None:
    """Every hour: delete the command lines of events that are past their retention."""
    event_command_lines.delete_event_command_lines()


@shared_task(name="alerts.fold_tallies")
def fold_alert_tallies() -> None:
    """Add recorded changes to the alert tallies."""
    fold_tallies.fold_tallies()


@shared_task(name="alerts.fold_hits")
def fold_rule_hits() -> None:
    """Add up the executions that each policy rule decided."""
    count_rule_hits.fold_hits()


@shared_task(name="alerts.report_rates")
def report_alert_rates() -> None:
    """Halt rollouts whose sensors raise too many alerts."""
    alert_rates.report_alert_rates()


@shared_task(name="alerts.settle_quarantines")
def settle_quarantines() -> None:
    """Set aside the alerts of sensors in quarantine, and bring back those of sensors that no longer are."""
    set_aside.settle_quarantines()


@shared_task(name="alerts.score_alerts")
def score_queued_alerts() -> None:
    """Give new priorities to the alerts whose evidence changed."""
    score_alerts.score_queued()
