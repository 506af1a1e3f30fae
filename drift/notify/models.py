"""Notices, who subscribes to them, and the state of each delivery.

A Notice and its deliveries are written in the transaction of the change that they report; a worker sends them later.
"""

from __future__ import annotations

from typing import ClassVar, Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import Own, ScopedBy, User, VisibleQuerySet, WholeEstateOnly
from accounts.models.visibility import ScopedViewer
from accounts.roles import Role


class Kind(models.TextChoices):
    """The subject of a notice. The first two and ACCOUNT go to one user, the others to all subscribers."""

    MENTION = "mention", "Mention"
    ASSIGNED = "assigned", "Assignment"
    ALERTS = "alerts", "New High alerts"
    HEALTH = "health", "Sensor health"
    HALTED = "halted", "Rollout halted"
    AUDIT = "audit", "Audit log head"
    ACCOUNT = "account", "Account"
    TEST = "test", "Test"
    ROUTE = "route", "Alert route"


class MailSettings(models.Model):
    """The recipients of email about alerts and the fleet. One row, created by the migration."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    roles = ArrayField(models.CharField(max_length=16, choices=Role), default=list)
    addresses = ArrayField(models.EmailField(), default=list)
    alerts = models.BooleanField(default=True)
    health = models.BooleanField(default=True)
    # With a default in the database too: portals of the previous version save settings without it.
    audit_heads = models.BooleanField(default=False, db_default=False)
    interval_minutes = models.PositiveIntegerField(default=60)

    visibility: ClassVar = WholeEstateOnly("who is notified of what is for Admins")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="one_row_of_mail_settings"),
            models.CheckConstraint(
                condition=Q(interval_minutes__gte=1, interval_minutes__lte=10_080), name="interval_up_to_a_week"
            ),
        ]

    def __str__(self) -> str:
        return "mail settings"


class AlertRoute(models.Model):
    """Who is notified of the new alerts that match a query line (docs/notifications.md#routes).

    What the line means belongs to the alerts, which decide what a route gets: of alerts that opened `since` then.
    """

    name = models.CharField(max_length=128)
    query = models.CharField(max_length=4_000)
    webhooks: models.ManyToManyField[Webhook, models.Model] = models.ManyToManyField(
        "Webhook", blank=True, related_name="routes"
    )
    addresses = ArrayField(models.EmailField(), default=list)
    since = models.DateTimeField(default=timezone.now)
    revision = models.PositiveIntegerField(default=1)

    visibility: ClassVar = WholeEstateOnly("who is notified of what is for Admins")

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), name="one_alert_route_per_name"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="alert_route_revision_from_one"),
        ]

    def __str__(self) -> str:
        return self.name


class Preference(models.Model):
    """A user's own email preferences. Without a row: no email."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="+")
    mail_mentions = models.BooleanField(default=False)
    mail_assignments = models.BooleanField(default=False)

    visibility: ClassVar = Own("user")

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"


class Webhook(models.Model):
    """An address that notices are posted to.

    `sealed` is the signing secret and `sealed_url` the address, both encrypted under SECRET_KEY: with chat services
    the address is a password. `masked_url` is what users see of it: scheme, host and port.
    """

    name = models.CharField(max_length=128, unique=True)
    sealed_url = models.BinaryField()
    masked_url = models.CharField(max_length=1_040)
    sealed = models.BinaryField()
    alerts = models.BooleanField(default=True)
    health = models.BooleanField(default=True)
    # With a default in the database too: portals of the previous version save settings without it.
    audit_heads = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = WholeEstateOnly("where notices go is for Admins")

    def __str__(self) -> str:
        return self.name

    @property
    def subscriptions(self) -> list[str]:
        """What it is notified of."""
        names = (
            (self.alerts, "High alerts"),
            (self.health, "sensor health, rollouts"),
            (self.audit_heads, "audit log head"),
        )
        return [name for subscribes, name in names if subscribes]


OF_ALERTS: Final = (Kind.MENTION, Kind.ASSIGNED)
"""Notices to one user that are about alerts, and so about places."""


class _OwnWithinScope:
    """A user's own notices; of those about alerts only where every alert is in scope, also when the scope shrank."""

    def condition(self, model: type[models.Model], viewer: ScopedViewer) -> Q | None:
        places = NoticePlace._base_manager.filter(notice=OuterRef("pk"))
        seen = NoticePlace.visibility.condition(NoticePlace, viewer)
        within = Q(pk=None) if seen is None else Exists(places) & ~Exists(places.exclude(seen))
        return Q(user=viewer.pk) & (~Q(kind__in=OF_ALERTS) | within)


class Notice(models.Model):
    """One message. With `user`: for that user alone, and on their page; without: for everybody who subscribes."""

    kind = models.CharField(max_length=16, choices=Kind)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    title = models.CharField(max_length=256)
    text = models.TextField(blank=True)
    path = models.CharField(max_length=512, blank=True)
    """The path of the portal's page with the details."""
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True)

    visibility: ClassVar = _OwnWithinScope()
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="notice_kind_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["user", "-id"], name="notices_of_user"),
            models.Index(fields=["created_at"], name="notices_by_age"),
        ]

    def __str__(self) -> str:
        return self.title


class NoticePlace(models.Model):
    """A cluster and namespace of the alerts that a notice is about."""

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="places")
    # By name: this app imports no app above it. Without its cluster a place is in nobody's scope.
    cluster = models.ForeignKey("fleet.Cluster", on_delete=models.SET_NULL, null=True, related_name="+")
    namespace = models.CharField(max_length=256, blank=True)

    visibility: ClassVar = ScopedBy(cluster="cluster", namespace="namespace")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["notice", "cluster", "namespace"], name="one_notice_place_each")
        ]

    def __str__(self) -> str:
        return f"{self.namespace} of {self.cluster_id}"


class NoticeState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENT = "sent", "Sent"
    DEAD = "dead", "Failed"


NO_LONGER_READ = "Its recipient no longer sees what it is about."
"""The error of a delivery that was right not to be made."""


class NoticeDelivery(models.Model):
    """One notice to one email address or webhook."""

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    address = models.EmailField(blank=True)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, null=True, related_name="deliveries")
    state = models.CharField(max_length=8, choices=NoticeState, default=NoticeState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    error = models.CharField(max_length=256, blank=True)
    sent_at = models.DateTimeField(null=True)

    visibility: ClassVar = WholeEstateOnly("where notices go is for Admins")

    class Meta:
        db_table = "notify_delivery"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=NoticeState.values), name="notification_state_is_known"),
            models.CheckConstraint(
                condition=Q(address="", webhook__isnull=False) | (~Q(address="") & Q(webhook=None)),
                name="delivery_goes_to_one",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=Q(state="waiting"), name="notifications_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.notice_id} to {self.destination}"

    @property
    def destination(self) -> str:
        """The email address, or the webhook's name."""
        return self.webhook.name if self.webhook else self.address


class PendingNotice(models.Model):
    """What subscribers may be notified of, before it is gathered: its group may have to wait for an interval to end."""

    kind = models.CharField(max_length=16, choices=Kind)
    key = models.CharField(max_length=128)
    title = models.CharField(max_length=256)
    count = models.PositiveIntegerField(default=1)
    path = models.CharField(max_length=512, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = WholeEstateOnly("notices about the whole estate, before they are sent")

    class Meta:
        db_table = "notify_pending"
        indexes: ClassVar = [models.Index(fields=["kind", "key"], name="pending_by_key")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class NoticeHold(models.Model):
    """A group that was notified recently: further rows with its key wait until `until`."""

    kind = models.CharField(max_length=16, choices=Kind)
    key = models.CharField(max_length=128)
    until = models.DateTimeField(db_index=True)

    visibility: ClassVar = WholeEstateOnly("notices about the whole estate, after they were sent")

    class Meta:
        db_table = "notify_hold"
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "key"], name="one_hold_per_group")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} until {self.until}"
