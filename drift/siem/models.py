"""Where alerts are forwarded, and how far each destination is."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ScopeGroup, WholeEstateOnly


class Transport(models.TextChoices):
    TLS = "tls", "Syslog over TLS"
    TCP = "tcp", "Syslog over TCP, unencrypted"
    FILE = "file", "File"


class RecordFormat(models.TextChoices):
    JSON = "json", "JSON"
    OCSF = "ocsf", "OCSF Detection Finding"


class SiemDestination(models.Model):
    """A syslog receiver or a file that gets every new alert and every change of an alert's state.

    `cursor` is the id of the last AlertActivity that it has for certain. While `claimed_until` is in the future, the
    worker with `claim` sends to it. With `is_scoped` it gets alerts in the scope of `scope_group` alone, and none once
    that group is deleted.
    """

    name = models.CharField(max_length=128, unique=True)
    transport = models.CharField(max_length=8, choices=Transport)
    record_format = models.CharField(max_length=8, choices=RecordFormat)
    host = models.CharField(max_length=255, blank=True)
    port = models.PositiveIntegerField(null=True)
    ca = models.TextField(blank=True)
    """PEM certificates that the receiver's must chain to; empty: those that the system trusts."""
    file_name = models.CharField(max_length=128, blank=True)
    is_scoped = models.BooleanField(default=False)
    scope_group = models.ForeignKey(ScopeGroup, on_delete=models.SET_NULL, null=True, related_name="+")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    cursor = models.BigIntegerField(default=0)
    claim = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)
    next_at = models.DateTimeField(default=timezone.now)
    failures = models.PositiveIntegerField(default=0)
    """Failed attempts since the last that succeeded."""
    error = models.CharField(max_length=256, blank=True)
    sent = models.BigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    test_requested_at = models.DateTimeField(null=True)

    visibility: ClassVar = WholeEstateOnly("where alerts are forwarded is for Admins")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(transport=Transport.FILE, host="", port=None, ca="") & ~Q(file_name="")
                | Q(transport__in=[Transport.TLS, Transport.TCP], file_name="", port__range=(1, 65_535)) & ~Q(host=""),
                name="siem_destination_is_one_place",
            ),
            models.CheckConstraint(
                condition=Q(record_format__in=RecordFormat.values), name="siem_record_format_is_known"
            ),
            models.CheckConstraint(condition=Q(is_scoped=True) | Q(scope_group=None), name="siem_scope_group_limits"),
            models.CheckConstraint(condition=Q(cursor__gte=0), name="siem_cursor_from_zero"),
            models.UniqueConstraint(
                fields=["file_name"], condition=~Q(file_name=""), name="one_siem_destination_per_file"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """The file's name, or host and port."""
        if self.transport == Transport.FILE:
            return self.file_name
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
