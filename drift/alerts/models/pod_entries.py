"""Who asked the Kubernetes API to run something in a pod, as the cluster's audit log has it."""

from __future__ import annotations

from typing import ClassVar, Final

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ScopedBy, VisibleQuerySet
from drift.fleet.models import Cluster

KINDS: Final = ("exec", "attach", "ephemeralcontainers")
STAGES: Final = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
MAX_NAME: Final = 253


class PodEntry(models.Model):
    """One request for `exec`, `attach` or an ephemeral container, whatever stages of it arrived.

    `digest` covers what all stages have in common: a line that contradicts it is not believed. `address` is what the
    API server saw, `claimed_addresses` what the client's headers say. Of an erased person everything that names them
    is empty, and so is the digest: no later line fills it again. `source` is who sent the first line.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+")
    audit_id = models.CharField(max_length=64)
    digest = models.BinaryField(max_length=32)
    kind = models.CharField(max_length=32)
    namespace = models.CharField(max_length=MAX_NAME)
    pod = models.CharField(max_length=MAX_NAME)
    container = models.CharField(max_length=MAX_NAME, blank=True)
    ephemeral_containers = models.JSONField(default=list, db_default=[])
    command = models.JSONField(default=list)
    is_command_cut = models.BooleanField(default=False)
    username = models.CharField(max_length=1_024, blank=True)
    groups = models.JSONField(default=list)
    acting_as = models.CharField(max_length=1_024, blank=True)
    address = models.CharField(max_length=45, blank=True)
    claimed_addresses = models.JSONField(default=list)
    agent = models.CharField(max_length=256, blank=True)
    requested_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    stage = models.CharField(max_length=24)
    code = models.PositiveSmallIntegerField(null=True, blank=True)
    source = models.CharField(max_length=64)
    received_at = models.DateTimeField(default=timezone.now)
    erased_at = models.DateTimeField(null=True, blank=True)

    visibility: ClassVar = ScopedBy(cluster="cluster", namespace="namespace")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "pod entries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["cluster", "audit_id"], name="one_pod_entry_per_audit_id"),
            models.CheckConstraint(condition=Q(kind__in=KINDS), name="pod_entry_kind_is_known"),
            models.CheckConstraint(condition=Q(stage__in=STAGES), name="pod_entry_stage_is_known"),
            models.CheckConstraint(
                condition=Q(erased_at=None) | Q(username="", acting_as="", address="", agent="", digest=b""),
                name="erased_pod_entry_names_nobody",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["cluster", "pod", "requested_at"], name="pod_entries_by_pod"),
            models.Index(fields=["requested_at"], name="pod_entries_by_time"),
            models.Index(fields=["cluster", "received_at"], name="pod_entries_by_receipt"),
        ]

    def __str__(self) -> str:
        return f"{self.username or 'erased'}: {self.kind} in {self.namespace}/{self.pod}"
