"""What sensors report (events, interned workloads and binaries) and what reviewers work on (alerts)."""

from drift.alerts.models.activity import ActivityKind, AlertActivity, AlertMention
from drift.alerts.models.alert_budgets import AlertBudget
from drift.alerts.models.alert_rates import AlertMinute, RateWatch
from drift.alerts.models.alerts import (
    CLOSED,
    OPEN,
    Alert,
    AlertDetail,
    AlertHour,
    AlertPulse,
    Incident,
    Resolution,
    Severity,
    Status,
)
from drift.alerts.models.events import Binary, DriftEvent, Provenance, Sighting, Workload
from drift.alerts.models.hash_lists import HashList, HashVerdict, ListedHash
from drift.alerts.models.pod_entries import PodEntry
from drift.alerts.models.priorities import AlertScoring, HabitDay, ListPreference
from drift.alerts.models.routed_alerts import RoutedAlert
from drift.alerts.models.rule_hits import ClusterRuleHits, RuleHits
from drift.alerts.models.saved_views import SavedView
from drift.alerts.models.stored_execs import ExecBudget, StoredExec
from drift.alerts.models.suppression_rules import SuppressedContent, SuppressionRule
from drift.alerts.models.tallies import AlertGroup, AlertTotal, Dimension, OpenedByHour, OpenedByPeriod, Period

__all__ = [
    "CLOSED",
    "OPEN",
    "ActivityKind",
    "Alert",
    "AlertActivity",
    "AlertBudget",
    "AlertDetail",
    "AlertGroup",
    "AlertHour",
    "AlertMention",
    "AlertMinute",
    "AlertPulse",
    "AlertScoring",
    "AlertTotal",
    "Binary",
    "ClusterRuleHits",
    "Dimension",
    "DriftEvent",
    "ExecBudget",
    "HabitDay",
    "HashList",
    "HashVerdict",
    "Incident",
    "ListPreference",
    "ListedHash",
    "OpenedByHour",
    "OpenedByPeriod",
    "Period",
    "PodEntry",
    "Provenance",
    "RateWatch",
    "Resolution",
    "RoutedAlert",
    "RuleHits",
    "SavedView",
    "Severity",
    "Sighting",
    "Status",
    "StoredExec",
    "SuppressedContent",
    "SuppressionRule",
    "Workload",
]
