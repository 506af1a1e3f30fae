"""What an alert's container executed around it, as far as the user may see it; or why there is nothing to show."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.process_facts import command_line, file_age
from drift.alerts.domain.process_tree import DriftNote, ProcessTree, TreeExec, process_tree, tree_exec
from drift.alerts.models import Alert, DriftEvent, ExecBudget, StoredExec
from drift.alerts.queries.event_retention import oldest_day
from drift.fleet.models import SensorStatus

BEFORE: Final = 64
AFTER: Final = 200
FOLLOWED: Final = dt.timedelta(minutes=11)
"""As long as sensors follow a container, and a minute for the last step."""
SOON: Final = dt.timedelta(minutes=2)
"""The time in which a report arrives after its alert."""
CLOCK: Final = dt.timedelta(seconds=1)
CAPABILITY: Final = "exec-history"
OFF: Final = "Execution history is off in this environment."
SAMPLE: Final = "A sample alert has no executions."
FLOOD: Final = "A flood counts the files of many processes: open one of its executions' own alerts."
EXPIRED: Final = "The executions have passed their retention period."
NOT_KEPT: Final = "This sensor keeps no execution history: it is of an older version, or cannot use eBPF on its node."
WAITING: Final = "The sensor's report has not arrived yet. Reload the page in a moment."
LOST: Final = "The sensor reported no executions around this alert."
LIMIT: Final = "Some executions were not stored: the sensor reported more than it may in an hour."


@dataclass(frozen=True)
class ExecTree:
    """The tree, or the reason for none. `further`: more followed than are shown. `limit`: why not all are stored."""

    tree: ProcessTree | None
    reason: str = ""
    further: bool = False
    limit: str = ""


def exec_tree(user: User, alert: Alert) -> ExecTree:
    """Return what the alert's container executed before the alert, and for ten minutes after."""
    if alert.sample or alert.is_flood:
        return ExecTree(None, SAMPLE if alert.sample else FLOOD)
    own = _own_exec(alert)
    rows = StoredExec.objects.visible_to(user).filter(sensor=alert.sensor_id, container_id=alert.container_id)
    before = list(rows.filter(observed_at__lte=own.at + CLOCK).order_by("-observed_at")[:BEFORE])
    later = rows.filter(observed_at__gt=own.at + CLOCK, observed_at__lte=own.at + FOLLOWED)
    after = list(later.order_by("observed_at")[: AFTER + 1])
    if not before and not after:
        return ExecTree(None, _why_none(alert, own.at), limit=_limit(alert, own.at))
    shown = [tree_exec(row.exec_id, row.observed_at, row.detail, row.missed) for row in (*before, *after[:AFTER])]
    notes = drift_notes(user, [alert.sensor_id], shown)
    marked = [replace(each, drift=notes.get(each.exec_id)) for each in shown]
    tree = process_tree(marked, replace(own, drift=_own_note(alert)))
    return ExecTree(tree, further=len(after) > AFTER, limit=_limit(alert, own.at))


def _own_exec(alert: Alert) -> TreeExec:
    """Return the exec that opened the alert, by its event."""
    event = alert.detail.event
    process = event["process"]
    parents = [each for each in (process.get("parent"), *(process.get("ancestors") or ())) if each]
    return TreeExec(
        exec_id=uuid.UUID(event["event_id"]),
        at=dt.datetime.fromisoformat(event["observed_at"]),
        pid=process.get("pid") or 0,
        command=command_line(process),
        uid=process.get("uid"),
        started_at=process.get("started_at"),
        parent_name=(process.get("parent") or {}).get("name", ""),
        above=tuple((each["pid"], None) for each in parents),
        path="" if (process.get("argv") or [process["path"]])[0] == process["path"] else process["path"],
    )


def _own_note(alert: Alert) -> DriftNote:
    writer = alert.detail.event["process"].get("written_by") or {}
    return DriftNote(alert.binary.kind, alert.outcome, alert.pk, writer.get("name", ""), file_age(alert.detail.event))


def drift_notes(user: User, sensors: Sequence[uuid.UUID], shown: Sequence[TreeExec]) -> dict[uuid.UUID, DriftNote]:
    """Return what is known of these sensors' execs that drifted, by id: each with the alert that counts it."""
    days = {each.at.date() for each in shown}
    events = DriftEvent.objects.visible_to(user).filter(
        observed_on__in=days, sensor_id__in=sensors, event_id__in=[each.exec_id for each in shown]
    )
    found = {row.event_id: row for row in events.select_related("binary")}
    fingerprints = {row.fingerprint for row in found.values()}
    alerts: dict[uuid.UUID, list[tuple[dt.datetime, int]]] = {}
    if fingerprints:
        visible = Alert.objects.visible_to(user).filter(fingerprint__in=fingerprints).order_by("first_seen")
        for fingerprint, first_seen, pk in visible.values_list("fingerprint", "first_seen", "pk"):
            alerts.setdefault(fingerprint, []).append((first_seen, pk))
    return {event_id: _note(row, alerts.get(row.fingerprint, [])) for event_id, row in found.items()}


def _note(row: DriftEvent, alerts: list[tuple[dt.datetime, int]]) -> DriftNote:
    detail: dict[str, Any] = row.detail or {}
    writer = detail.get("written_by") or {}
    age = file_age({"process": {"written_by": writer}, "observed_at": row.observed_at.isoformat()}) if writer else ""
    own = [pk for first_seen, pk in alerts if first_seen <= row.observed_at]
    return DriftNote(row.binary.kind, row.outcome, own[-1] if own else None, writer.get("name", ""), age)


def _why_none(alert: Alert, at: dt.datetime) -> str:
    if not alert.cluster.environment.exec_history:
        return OFF
    if at.date() < oldest_day(timezone.now().date()):
        return EXPIRED
    status = SensorStatus.objects.filter(sensor=alert.sensor_id).first()
    if status is not None and CAPABILITY not in status.capabilities:
        return NOT_KEPT
    return WAITING if timezone.now() - alert.created_at < SOON else LOST


def _limit(alert: Alert, at: dt.datetime) -> str:
    budget = ExecBudget.objects.filter(sensor=alert.sensor_id, dropped_at__gte=at).first()
    return LIMIT if budget is not None else ""
