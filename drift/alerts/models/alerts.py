"""Alerts, in four tables by how they are used.

`Alert` has what lists filter and sort by, and changes only when a reviewer or a rule changes it. `AlertPulse` is what
every event updates: one narrow row with one index. `AlertDetail` is what explains the alert: wide, written once.
`AlertHour` is its histogram, which outlives the events.
"""

from __future__ import annotations

from typing import ClassVar, Final, cast

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Left
from django.utils import timezone

from accounts.models import ScopedBy, ScopedThrough, User, Viewer, VisibleQuerySet
from drift.alerts.models.events import Binary, Workload
from drift.alerts.models.suppression_rules import SuppressionRule
from drift.fleet.models import Cluster, Sensor


class Status(models.TextChoices):
    ACTIVE = "active", "Active"
    IN_PROGRESS = "in_progress", "In progress"
    RESOLVED = "resolved", "Resolved"
    DISMISSED = "dismissed", "Dismissed"


class Resolution(models.TextChoices):
    """Why an alert was closed (stored, and in the API, as `verdict`). Only suppression rules set `suppressed`."""

    TRUE_POSITIVE = "true_positive", "True positive"
    BENIGN_TRUE_POSITIVE = "benign_true_positive", "Benign true positive"
    FALSE_POSITIVE = "false_positive", "False positive"
    EXPECTED = "expected", "Expected"
    ACCEPTED_RISK = "accepted_risk", "Accepted risk"
    DUPLICATE = "duplicate", "Duplicate"
    SUPPRESSED = "suppressed", "Suppressed"


class Severity(models.TextChoices):
    """The rule's, as it was when it decided; High unless it says otherwise."""

    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"
    INFORMATIONAL = "informational", "Informational"


OPEN = (Status.ACTIVE, Status.IN_PROGRESS)
CLOSED = (Status.RESOLVED, Status.DISMISSED)
IS_OPEN = Q(status__in=[status.value for status in OPEN])
IMAGE: Final = Left(F("image_name"), 512)
"""The part of an image's name that fits into an index entry in any script; a longer one is not a valid reference."""
RESOLUTIONS = {
    Status.RESOLVED: (Resolution.TRUE_POSITIVE, Resolution.BENIGN_TRUE_POSITIVE),
    Status.DISMISSED: (
        Resolution.FALSE_POSITIVE,
        Resolution.EXPECTED,
        Resolution.ACCEPTED_RISK,
        Resolution.DUPLICATE,
        Resolution.SUPPRESSED,
    ),
}
"""The resolutions of each closed status."""


CONTAINER_FLOOD: Final = "container_flood"
SENSOR_FLOOD: Final = "sensor_flood"
FLOODS: Final = (CONTAINER_FLOOD, SENSOR_FLOOD)
"""The reasons of alerts that count the new files past a budget (docs/alerts.md#floods)."""


def alert_title(outcome: str, reason: str) -> str:
    """Return the title of an alert with this outcome and reason."""
    if reason == CONTAINER_FLOOD:
        return "A container floods alerts with new drift binaries"
    if reason == SENSOR_FLOOD:
        return "A sensor floods alerts with new drift binaries"
    if outcome == "blocked":
        return "Blocked binary drift executing in the container"
    return "A drift binary detected executing in the container"


def _resolution_fits_status() -> Q:
    fits = Q(IS_OPEN, verdict="", closed_at=None)
    for status, resolutions in RESOLUTIONS.items():
        fits |= Q(status=status.value, verdict__in=[each.value for each in resolutions], closed_at__isnull=False)
    return fits


def _of_open(name: str, *columns: str) -> models.Index:
    return models.Index(fields=[*columns, "-first_seen", "-id"], condition=IS_OPEN, name=name)


def _of_rare(column: str, condition: Q) -> models.Index:
    return models.Index(fields=[column, "-first_seen", "-id"], condition=condition, name=f"alerts_of_{column}")


class Incident(models.Model):
    """Alerts of one workload and story whose processes share an ancestor, each within ten minutes of the last.

    `container_id` is the first alert's. NULL as `scope`, and "" as `story`: from a portal of before these columns.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+", db_index=False)
    container_id = models.CharField(max_length=64)
    scope = models.UUIDField(null=True)
    """Of the workload (`Workload.scope`)."""
    story = models.CharField(max_length=32, blank=True, default="", db_default="")
    """What its name tells (`domain.incident_story.Story`)."""
    ancestors = models.JSONField(default=list)
    """As "pid name". The next alert joins if one of its ancestors is among them."""
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    visibility: ClassVar = ScopedThrough(("alerts",))
    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["cluster", "container_id", "-last_seen"], name="incidents_of_container"),
            models.Index(fields=["scope", "-last_seen"], name="incidents_of_workload"),
        ]

    def __str__(self) -> str:
        return f"incident {self.pk}"


class AlertQuerySet(VisibleQuerySet):
    """Alerts that a user may see; those that are set aside only where a page asks for them."""

    def visible_to(self, user: Viewer) -> AlertQuerySet:
        """Return the alerts in the user's scope, without those that are set aside."""
        return self.with_set_aside(user).filter(set_aside_at__isnull=True)

    def with_set_aside(self, user: Viewer) -> AlertQuerySet:
        """Return the alerts in the user's scope, with those that are set aside."""
        return cast("AlertQuerySet", super().visible_to(user))


class Alert(models.Model):
    """The drift events of one fingerprint until a reviewer closes it.

    `current` is true only for the newest alert of a fingerprint. An open alert is always current, so the unique index
    on current alerts ensures one open alert per fingerprint. Ingest locks that row: a reviewer's change happens wholly
    before or wholly after a batch. `revision` rises with every change; a write that names an older one gets 409.

    While the sensor that opened it is in quarantine, `set_aside_at` is set: `visible_to` leaves the alert out, no tally
    counts it, and it is not current, so that other sensors' events open another alert.

    The snooze of a dismissed alert ends at `quiet_until`, or with `until_spread` when the binary appears in another
    workload.

    `priority` follows from the whole estate, `scoped_priority` from the alert's own namespace alone: it is what users
    with a scope see and sort by (docs/priority.md#scopes).
    """

    fingerprint = models.UUIDField()
    current = models.BooleanField(default=True)
    previous = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    severity = models.CharField(max_length=16, choices=Severity, default=Severity.HIGH)
    status = models.CharField(max_length=16, choices=Status, default=Status.ACTIVE)
    verdict = models.CharField(max_length=32, choices=Resolution, blank=True)
    first_seen = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)
    acknowledged_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    quiet_until = models.DateTimeField(null=True)
    until_spread = models.BooleanField(default=False)
    suppressed_by = models.ForeignKey(
        SuppressionRule, on_delete=models.SET_NULL, null=True, related_name="alerts", db_index=False
    )
    assignee = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    revision = models.PositiveIntegerField(default=1)
    sample = models.BooleanField(default=False)
    set_aside_at = models.DateTimeField(null=True)

    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="+")
    binary = models.ForeignKey(Binary, on_delete=models.PROTECT, related_name="alerts", db_index=False)
    sensor = models.ForeignKey(Sensor, on_delete=models.PROTECT, related_name="+", db_index=False)
    incident = models.ForeignKey(Incident, on_delete=models.SET_NULL, null=True, related_name="alerts", db_index=False)
    # Copied from workload and binary, because lists filter, sort and group by them: an index cannot span tables.
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+", db_index=False)
    namespace = models.CharField(max_length=256, blank=True)
    image_name = models.CharField(max_length=1_024, blank=True)
    path = models.CharField(max_length=4_096)
    pod_name = models.CharField(max_length=256, blank=True)
    container_id = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=8)
    reason = models.CharField(max_length=32)
    rule_id = models.CharField(max_length=256, blank=True)
    rule_name = models.CharField(max_length=128, blank=True)
    policy_number = models.PositiveIntegerField(null=True)
    outcome = models.CharField(max_length=16)
    # Of the event that opened it. NULL: opened by a portal from before these columns.
    node = models.CharField(max_length=256, null=True)  # noqa: DJ001
    writer = models.CharField(max_length=256, null=True)  # noqa: DJ001
    parent = models.CharField(max_length=256, null=True)  # noqa: DJ001
    # The same, "" where that is unknown, and NULL in an alert from before these columns.
    session = models.CharField(max_length=16, null=True)  # noqa: DJ001
    writer_session = models.CharField(max_length=16, null=True)  # noqa: DJ001
    writer_origin = models.CharField(max_length=16, null=True)  # noqa: DJ001
    priority = models.SmallIntegerField(default=0, db_default=0)
    scoped_priority = models.SmallIntegerField(default=0, db_default=0)
    habit = models.UUIDField(null=True)
    """The way in which it came about (`domain.habits`); None until it is scored by a portal that knows ways."""
    lineage = models.UUIDField(null=True)
    """The coarser half of the way: kind, writer and starter; None as above."""
    name_trait = models.UUIDField(null=True)
    command_trait = models.UUIDField(null=True)
    place_trait = models.UUIDField(null=True)
    """What other alerts may share (`domain.traits`); None as above."""
    signals = models.JSONField(null=True)
    """What makes the priorities, as `domain.scored_signals` reads it; None until the alert is scored."""

    visibility: ClassVar = ScopedBy(cluster="cluster", namespace="namespace")
    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["fingerprint"], condition=Q(current=True), name="one_current_alert"),
            models.UniqueConstraint(
                fields=["sensor", "fingerprint"],
                condition=Q(IS_OPEN, set_aside_at__isnull=False),
                name="one_set_aside_alert",
            ),
            models.CheckConstraint(
                condition=~IS_OPEN | Q(current=True) | Q(set_aside_at__isnull=False),
                name="open_alert_is_current",
            ),
            models.CheckConstraint(condition=Q(set_aside_at=None) | Q(current=False), name="set_aside_is_not_current"),
            models.CheckConstraint(condition=_resolution_fits_status(), name="verdict_fits_status"),
            models.CheckConstraint(
                condition=Q(status=Status.DISMISSED) | Q(quiet_until=None, until_spread=False, suppressed_by=None),
                name="only_dismissed_is_quiet",
            ),
            models.CheckConstraint(condition=Q(action__in=["alert", "block"]), name="alert_was_decided"),
            models.CheckConstraint(
                condition=Q(outcome__in=["none", "blocked", "not_blocked", "would_block"]), name="outcome_is_known"
            ),
            models.CheckConstraint(condition=Q(revision__gte=1), name="alert_revision_from_one"),
            models.CheckConstraint(condition=~Q(previous=F("id")), name="alert_follows_another"),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="severity_is_known"),
            models.CheckConstraint(
                condition=Q(priority__range=(0, 100), scoped_priority__range=(0, 100)), name="priority_is_percentage"
            ),
        ]
        indexes: ClassVar = [
            # For lists: the column that they filter or sort by, then newest first. Open alerts are few among many
            # closed ones; they have indexes of their own where a list of them would otherwise scan the closed ones.
            models.Index(fields=["-first_seen", "-id"], name="alerts_by_start"),
            _of_open("open_alerts_by_start"),
            models.Index(fields=["cluster", "-first_seen", "-id"], name="alerts_of_cluster"),
            _of_open("open_alerts_of_cluster", "cluster"),
            models.Index(fields=["namespace", "-first_seen", "-id"], name="alerts_of_namespace"),
            _of_open("open_alerts_of_namespace", "namespace"),
            models.Index(fields=["cluster", "namespace", "-first_seen", "-id"], name="alerts_of_place"),
            # The first order of users who see single namespaces. Without it a seldom filter reads all alerts of one.
            models.Index(
                fields=["cluster", "namespace", "-scoped_priority", "-first_seen", "-id"],
                name="alerts_of_place_by_priority",
            ),
            models.Index(fields=["outcome", "-first_seen", "-id"], name="alerts_of_outcome"),
            _of_open("open_alerts_of_outcome", "outcome"),
            models.Index(fields=["status", "-first_seen", "-id"], name="alerts_of_status"),
            models.Index(fields=["severity", "-first_seen", "-id"], name="alerts_of_severity"),
            _of_open("open_alerts_of_severity", "severity"),
            models.Index(fields=["-priority", "-first_seen", "-id"], name="alerts_by_priority"),
            _of_open("open_alerts_by_priority", "-priority"),
            _of_open("open_by_priority_of_cluster", "cluster", "-priority"),
            _of_open("open_by_priority_of_namespace", "namespace", "-priority"),
            models.Index(fields=["-scoped_priority", "-first_seen", "-id"], name="alerts_by_scoped_priority"),
            _of_open("open_by_scoped_priority", "-scoped_priority"),
            models.Index(fields=["-id"], condition=Q(signals__isnull=True), name="alerts_without_priority"),
            models.Index(fields=["habit", "-id"], condition=IS_OPEN, name="open_alerts_of_habit"),
            models.Index(fields=["habit", "-id"], condition=Q(verdict="true_positive"), name="attacks_of_habit"),
            models.Index(fields=["lineage", "-id"], condition=IS_OPEN, name="open_alerts_of_lineage"),
            models.Index(fields=["name_trait", "-id"], condition=IS_OPEN, name="open_of_name"),
            models.Index(fields=["command_trait", "-id"], condition=IS_OPEN, name="open_of_command"),
            models.Index(fields=["place_trait", "-id"], condition=IS_OPEN, name="open_of_place"),
            models.Index(fields=["rule_id", "-first_seen", "-id"], name="alerts_of_rule"),
            models.Index(fields=["binary", "-first_seen", "-id"], name="alerts_of_binary"),
            models.Index(fields=["binary"], condition=Q(verdict="true_positive"), name="attacks_of_binary"),
            models.Index(IMAGE, F("first_seen").desc(), F("id").desc(), name="alerts_of_image"),
            _of_rare("assignee", Q(assignee__isnull=False)),
            # The first alert of an incident stands for it in the list of incidents.
            models.Index(fields=["incident", "-priority", "-first_seen", "-id"], name="alerts_of_incident"),
            _of_open("open_incidents_by_priority", "incident", "-priority"),
            models.Index(fields=["sensor", "-first_seen", "-id"], name="alerts_of_sensor"),
            models.Index(fields=["node", "-first_seen", "-id"], name="alerts_of_node"),
            models.Index(fields=["pod_name", "-first_seen", "-id"], name="alerts_of_pod"),
            models.Index(fields=["container_id", "-first_seen", "-id"], name="alerts_of_container"),
            models.Index(fields=["writer", "-first_seen", "-id"], name="alerts_of_writer"),
            models.Index(fields=["parent", "-first_seen", "-id"], name="alerts_of_parent"),
            # Most alerts are the workload's, and found soon without an index. All other sessions come before it.
            _of_rare("session", Q(session__gt="", session__lt="workload")),
            _of_rare("writer_session", Q(writer_session__gt="", writer_session__lt="workload")),
            _of_rare("writer_origin", Q(writer_origin__in=["drift", "runtime"])),
            models.Index(fields=["verdict", "-first_seen", "-id"], condition=~Q(verdict=""), name="alerts_of_verdict"),
            models.Index(
                fields=["sensor", "fingerprint"], condition=Q(set_aside_at__isnull=False), name="alerts_set_aside"
            ),
            # For retention, the end of snoozes, and foreign keys that are set to null when a row is deleted.
            models.Index(fields=["closed_at"], condition=Q(closed_at__isnull=False), name="alerts_by_closing"),
            models.Index(fields=["fingerprint"], condition=Q(until_spread=True), name="alerts_until_spread"),
            models.Index(fields=["previous"], condition=Q(previous__isnull=False), name="alerts_that_follow"),
            models.Index(
                fields=["suppressed_by", "-first_seen", "-id"],
                condition=Q(suppressed_by__isnull=False),
                name="alerts_suppressed_by",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.pk})"

    @property
    def title(self) -> str:
        """The title, with Azure's wording; it says so where every process was blocked."""
        return alert_title(self.outcome, self.reason)

    @property
    def is_flood(self) -> bool:
        return self.reason in FLOODS

    @property
    def is_container_flood(self) -> bool:
        return self.reason == CONTAINER_FLOOD

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


class AlertPulse(models.Model):
    """An alert's count and last occurrence: the one row that every event updates."""

    alert = models.OneToOneField(Alert, on_delete=models.CASCADE, primary_key=True, related_name="pulse")
    count = models.BigIntegerField()
    blocked = models.BigIntegerField(default=0)
    last_seen = models.DateTimeField()
    updated_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = ScopedBy(cluster="alert__cluster", namespace="alert__namespace")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(count__gte=1, blocked__gte=0, blocked__lte=F("count")), name="alert_counts"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["-updated_at", "-alert"], name="pulses_by_update")]

    def __str__(self) -> str:
        return f"{self.count} × alert {self.alert_id}"


class AlertDetail(models.Model):
    """What explains an alert: the event and the rule as they were when it opened.

    The evaluation trace is not stored, because a policy of a thousand rules makes a long one. A version never changes,
    so it is evaluated again when someone opens the alert.
    """

    alert = models.OneToOneField(Alert, on_delete=models.CASCADE, primary_key=True, related_name="detail")
    event = models.JSONField()
    rule = models.JSONField(null=True)
    search = models.TextField()
    """The string that searches match, in lower case."""

    visibility: ClassVar = ScopedBy(cluster="alert__cluster", namespace="alert__namespace")

    class Meta:
        indexes: ClassVar = [
            GinIndex(OpClass(F("search"), name="gin_trgm_ops"), name="alerts_by_text"),
        ]

    def __str__(self) -> str:
        return f"detail of alert {self.alert_id}"


class AlertHour(models.Model):
    """An alert's executions in one hour (UTC)."""

    pk = models.CompositePrimaryKey("alert_id", "hour")
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="hours", db_index=False)
    hour = models.DateTimeField()
    count = models.BigIntegerField()

    visibility: ClassVar = ScopedBy(cluster="alert__cluster", namespace="alert__namespace")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(count__gte=1), name="hour_has_execs")]

    def __str__(self) -> str:
        return f"{self.count} at {self.hour}"
