"""An alert as JSON: the same for the pages, the API and the exports."""

from __future__ import annotations

import datetime as dt
from typing import Any, Protocol

from accounts.models import User
from accounts.scope import EstateScope
from drift.alerts.domain.alert_wording import alert_description, what_ran
from drift.alerts.domain.scored_signals import ScoredSignals
from drift.alerts.models import Alert
from drift.alerts.queries.decision_trace import decision_trace

RELATED = ("pulse", "detail", "binary", "workload", "cluster__environment", "assignee")
"""The relations that `alert_json` reads, for select_related."""


class Scoped(Protocol):
    """Whoever the JSON is for: a user, or a program that alerts are forwarded to."""

    @property
    def scope(self) -> EstateScope: ...


def explained_alert_json(user: User, alert: Alert) -> dict[str, Any]:
    """Return the alert with its trace, which takes too long to evaluate for each alert of a list."""
    return {**alert_json(user, alert), "trace": decision_trace(alert)}


def alert_json(user: Scoped, alert: Alert) -> dict[str, Any]:
    """Return the alert as lists have it, with the priority that `user` sees. Select RELATED with it."""
    environment, pulse, detail = alert.cluster.environment, alert.pulse, alert.detail
    whole_estate = user.scope.is_whole_estate
    return {
        "id": alert.pk,
        "revision": alert.revision,
        "name": alert.title,
        "description": alert_description(
            alert.binary.kind, alert.outcome, alert.namespace, alert.cluster.name, alert.reason
        ),
        "what": what_ran(
            alert.path, alert.workload.owner_name, alert.workload.container_name, alert.writer or "", alert.reason
        ),
        "priority": alert.priority if whole_estate else alert.scoped_priority,
        "reasons": ScoredSignals.read(alert.signals).reasons(whole_estate=whole_estate),
        "severity": alert.severity,
        "status": alert.status,
        "verdict": alert.verdict or None,
        "quiet_until": _iso(alert.quiet_until),
        "until_spread": alert.until_spread,
        "assignee": alert.assignee.email if alert.assignee else None,
        "tactics": ["Execution"],
        "sample": alert.sample,
        "sensor": str(alert.sensor_id),
        "set_aside_at": _iso(alert.set_aside_at),
        "first_seen": _iso(alert.first_seen),
        "last_seen": _iso(pulse.last_seen),
        "updated_at": _iso(max(pulse.updated_at, alert.changed_at)),
        "closed_at": _iso(alert.closed_at),
        "count": pulse.count,
        "blocked": pulse.blocked,
        "outcome": alert.outcome,
        "fingerprint": str(alert.fingerprint),
        "previous": alert.previous_id,
        "incident": alert.incident_id,
        "resource": {
            "provider": environment.provider,
            "account": environment.account,
            "environment": environment.name,
            "cluster": alert.cluster.name,
            "namespace": alert.namespace or None,
            "pod": alert.pod_name or None,
            "image": alert.image_name or None,
        },
        "policy": {"number": alert.policy_number, "action": alert.action, "reason": alert.reason, "rule": detail.rule},
        "event": detail.event,
    }


def _iso(time: dt.datetime | None) -> str | None:
    return time.isoformat() if time else None
