"""Opening alerts: each with what explains it, as it is at that moment."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from django.utils import timezone

from drift.alerts.actions.bulk_insert import copy_rows
from drift.alerts.actions.incidents import join_incidents
from drift.alerts.actions.queue_notifications import announce
from drift.alerts.actions.suppression_rules import count_hits
from drift.alerts.domain.enriched_events import BatchSource
from drift.alerts.domain.event_groups import EventGroup
from drift.alerts.domain.suppression_match import Suppression
from drift.alerts.models import (
    ActivityKind,
    Alert,
    AlertActivity,
    AlertDetail,
    AlertPulse,
    Incident,
    Resolution,
    Status,
)
from drift.alerts.queries import compiled_policies as policies
from drift.alerts.queries.active_suppressions import ActiveSuppressions

Fresh = list[tuple[EventGroup, int | None]]
"""Groups, each with the number of the closed alert that the new one follows."""


def open_alerts(
    source: BatchSource, rules: ActiveSuppressions, fresh: Fresh, *, announced: bool = True
) -> dict[int, EventGroup]:
    """Open an alert for each group, `announced` to those who asked; returns the groups by alert number.

    The groups come in fingerprint order. Raises IntegrityError where another transaction opened one of
    them a moment ago.
    """
    _retire([previous for _, previous in fresh if previous is not None])
    groups = [group for group, _ in fresh]
    rule_of = {decision: policies.rule_of(decision) for decision in {group.first.decision for group in groups}}
    decided = [rule_of[group.first.decision] for group in groups]
    incidents = join_incidents(source.cluster_id, groups)
    alerts = [
        _alert(source, group, previous, rule, incident)
        for (group, previous), rule, incident in zip(fresh, decided, incidents, strict=True)
    ]
    suppressed = _suppress(rules, alerts, groups)
    copy_rows(alerts)
    copy_rows([*map(_pulse, alerts, groups)])
    copy_rows([*map(partial(_detail, source), alerts, groups, decided)])
    copy_rows([*map(_opened, alerts), *map(_suppressed, suppressed)])
    count_hits([rule.id for _, rule in suppressed])
    if announced:
        announce(alerts)
    return {alert.pk: group for alert, group in zip(alerts, groups, strict=True)}


def _opened(alert: Alert) -> AlertActivity:
    return AlertActivity(alert=alert, kind=ActivityKind.OPENED)


def _suppressed(found: tuple[Alert, Suppression]) -> AlertActivity:
    alert, rule = found
    return AlertActivity(alert=alert, kind=ActivityKind.SUPPRESSED, after={"rule": rule.name})


def _suppress(
    rules: ActiveSuppressions, alerts: list[Alert], groups: list[EventGroup]
) -> list[tuple[Alert, Suppression]]:
    """Dismiss what a rule names before it is stored, without a quiet period: while the rule holds, it goes on."""
    found = []
    for alert, group in zip(alerts, groups, strict=True):
        if rule := rules.matching(group.first):
            alert.status, alert.verdict = Status.DISMISSED, Resolution.SUPPRESSED
            alert.closed_at, alert.suppressed_by_id = timezone.now(), rule.id
            found.append((alert, rule))
    return found


def _retire(alerts: list[int]) -> None:
    """The caller has locked them: from here on the new alert is the fingerprint's current one."""
    if alerts:
        Alert.objects.filter(pk__in=alerts).update(current=False)


def _alert(
    source: BatchSource, group: EventGroup, previous: int | None, rule: dict[str, Any] | None, incident: Incident | None
) -> Alert:
    first = group.first
    event, decision = first.event, first.decision
    return Alert(
        fingerprint=group.fingerprint,
        previous_id=previous,
        first_seen=group.first_seen,
        workload_id=first.workload_id,
        binary_id=first.binary_id,
        sensor=source.sensor,
        incident=incident,
        cluster=source.sensor.cluster,
        namespace=event.container.namespace or "",
        image_name=event.container.image_name or "",
        path=event.process.path,
        pod_name=event.container.pod_name or "",
        container_id=event.container.id,
        action=decision.action,
        reason=decision.reason,
        rule_id=decision.rule or "",
        rule_name=(rule or {}).get("name", ""),
        policy_number=decision.policy_number,
        outcome=group.outcome,
    )


def _pulse(alert: Alert, group: EventGroup) -> AlertPulse:
    return AlertPulse(
        alert=alert,
        count=group.count,
        blocked=group.blocked,
        last_seen=group.last_seen,
        updated_at=timezone.now(),
    )


def _detail(source: BatchSource, alert: Alert, group: EventGroup, rule: dict[str, Any] | None) -> AlertDetail:
    return AlertDetail(
        alert=alert,
        event=_evidence(source, group),
        rule=rule,
        search=search_text(source, group),
    )


def _evidence(source: BatchSource, group: EventGroup) -> dict[str, Any]:
    """The event that opened the alert, whole, and where it came from."""
    event: dict[str, Any] = msgspec.to_builtins(group.first.event)
    event["decision"] = msgspec.to_builtins(group.first.decision)
    where = {"provider": source.provider, "account": source.account, "cluster_name": source.cluster_name}
    return {**event, **where, "node": source.sensor.node}


def search_text(source: BatchSource, group: EventGroup) -> str:
    """What the search box looks through: path, hash, image, pod, container, owner, cluster, node."""
    event = group.first.event
    process, container = event.process, event.container
    parts = [
        process.path,
        process.sha256,
        container.image_name,
        container.image_digest,
        container.namespace,
        container.pod_name,
        container.name,
        container.id,
        container.owner.name if container.owner else None,
        source.cluster_name,
        source.account,
        source.sensor.node,
    ]
    return "\n".join(filter(None, parts)).lower()
