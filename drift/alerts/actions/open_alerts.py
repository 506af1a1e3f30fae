"""Open alerts, each with the event, the rule and the incident that explain it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from django.db import models
from django.utils import timezone

from drift.alerts.actions.bulk_insert import Values, child_row, insert_families, new_row
from drift.alerts.actions.incidents import join_incidents
from drift.alerts.actions.queue_notifications import notify_opened
from drift.alerts.actions.score_alerts import score_new
from drift.alerts.actions.suppression_rules import count_suppressed
from drift.alerts.domain.enriched_events import BatchSource
from drift.alerts.domain.event_groups import EventGroup, workload_scopes
from drift.alerts.domain.search_text import search_text
from drift.alerts.domain.suppression_match import Suppression
from drift.alerts.models import (
    ActivityKind,
    Alert,
    AlertActivity,
    AlertDetail,
    AlertHour,
    AlertPulse,
    AlertScoring,
    Incident,
    Resolution,
    Severity,
    Status,
)
from drift.alerts.models.alerts import SENSOR_FLOOD
from drift.alerts.queries import compiled_policies
from sensor import wire


class NewAlert(NamedTuple):
    """The events that an alert opens with, and the id of the closed alert of their fingerprint.

    `suppression`: the rule that dismisses it. `reason`: of a flood alert, in place of the first event's own.
    """

    group: EventGroup
    previous_id: int | None
    suppression: Suppression | None = None
    reason: str = ""


def open_alerts(source: BatchSource, new: Sequence[NewAlert], *, notify: bool = True) -> list[int]:
    """Open the alerts, given in fingerprint order, with what they count, and return their ids.

    Raises IntegrityError where another transaction opened one of them a moment ago.
    """
    previous = [each.previous_id for each in new if each.previous_id is not None]
    if previous:
        # The caller holds their locks. Before the inserts: only one alert of a fingerprint may be current.
        Alert.objects.filter(pk__in=previous).update(current=False)
    groups = [each.group for each in new]
    rules = {
        decision: compiled_policies.deciding_rule(decision) for decision in {group.first.decision for group in groups}
    }
    # A flood's files come from anywhere in the container, or in the node: it is no part of one incident.
    joining = [] if source.quarantined else [each.group for each in new if not each.reason]
    incidents = join_incidents(source.cluster_id, joining)
    incidents += [None] * (len(new) - len(incidents))  # floods are last: their fingerprints are the greatest
    alerts = [
        _alert(source, each, rules[each.group.first.decision], incident)
        for each, incident in zip(new, incidents, strict=True)
    ]
    _suppress(alerts, new)
    events = [group.first.event for group in groups]
    score_new(alerts, events, workload_scopes(source.cluster_id, groups))
    insert_families(
        [
            (alert, [*_records(source, each, rules[each.group.first.decision]), *_first_activities(alert, each)])
            for alert, each in zip(alerts, new, strict=True)
        ]
    )
    count_suppressed([each.suppression.id for each in new if each.suppression])
    if notify:
        notify_opened(source.cluster_name, alerts)
    return [alert.pk for alert in alerts]


def _suppress(alerts: list[Alert], new: Sequence[NewAlert]) -> None:
    """Dismiss the alerts that a rule suppresses before they are stored.

    Without a snooze: later events count to the alert while the rule still matches, and open a new one afterwards.
    """
    for alert, each in zip(alerts, new, strict=True):
        if rule := each.suppression:
            alert.status, alert.verdict = Status.DISMISSED, Resolution.SUPPRESSED
            alert.closed_at, alert.suppressed_by_id = timezone.now(), rule.id


def _alert(source: BatchSource, new: NewAlert, rule: dict[str, Any] | None, incident: Incident | None) -> Alert:
    group, first = new.group, new.group.first
    event, decision = first.event, first.decision
    writer, parent = event.process.written_by, event.process.parent
    provenance = event.process.provenance
    known = wire.ProcessProvenance() if provenance is None or new.reason else provenance
    # A sensor's flood is of no single container: its alert names the cluster alone.
    container = wire.Container(id="", name="", runtime="") if new.reason == SENSOR_FLOOD else event.container
    return new_row(
        Alert,
        fingerprint=group.fingerprint,
        severity=(rule or {}).get("severity", Severity.HIGH),
        current=not source.quarantined,
        set_aside_at=timezone.now() if source.quarantined else None,
        previous_id=new.previous_id,
        first_seen=group.first_seen,
        workload_id=first.workload_id,
        binary_id=first.binary_id,
        sensor_id=source.sensor_id,
        incident_id=incident.pk if incident else None,
        cluster_id=source.cluster_id,
        namespace=container.namespace or "",
        image_name=container.image_name or "",
        path=event.process.path,
        pod_name=container.pod_name or "",
        container_id=container.id,
        action=decision.action,
        reason=new.reason or decision.reason,
        rule_id=decision.rule or "",
        rule_name=(rule or {}).get("name", ""),
        policy_number=decision.policy_number,
        outcome=group.outcome,
        node=source.node,
        # A flood counts files of many writers and parents.
        writer=writer.name if writer and not new.reason else "",
        parent=parent.name if parent and not new.reason else "",
        session=known.session or "",
        writer_session=known.written_in_session or "",
        writer_origin=known.writer_origin or "",
    )


Child = tuple[type[models.Model], Values]


def _records(source: BatchSource, new: NewAlert, rule: dict[str, Any] | None) -> list[Child]:
    """Return the rows that an alert opens with: its counts, what explains it, and the request to score it again."""
    group = new.group
    return [
        child_row(AlertPulse, count=group.count, blocked=group.blocked, last_seen=group.last_seen),
        *(child_row(AlertHour, hour=hour, count=count) for hour, count in group.hours.items()),
        _detail(source, group, rule),
        child_row(AlertScoring),
    ]


def _first_activities(alert: Alert, new: NewAlert) -> Iterator[Child]:
    yield child_row(AlertActivity, kind=ActivityKind.OPENED)
    if new.suppression:
        yield child_row(AlertActivity, kind=ActivityKind.SUPPRESSED, after={"rule": new.suppression.name})
    if alert.set_aside_at:
        yield child_row(AlertActivity, kind=ActivityKind.SET_ASIDE)


def _detail(source: BatchSource, group: EventGroup, rule: dict[str, Any] | None) -> Child:
    """Return what explains an alert: the first event, complete, with where it came from, and the rule."""
    event: dict[str, Any] = msgspec.to_builtins(group.first.event)
    event["decision"] = msgspec.to_builtins(group.first.decision)
    origin = {"provider": source.provider, "account": source.account, "cluster_name": source.cluster_name}
    return child_row(
        AlertDetail,
        event={**event, **origin, "node": source.node},
        rule=rule,
        search=search_text(source, group.first.event),
    )
