"""Signing keys, signed bundles, and the state of the whole fleet that bundles carry."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Everybody, User, WholeEstateOnly
from drift.fleet.models.sensors import NEVER
from drift.policy.models import PolicyVersion


class SigningKey(models.Model):
    """An Ed25519 key that signs bundles; the private half is encrypted with a key derived from SECRET_KEY.

    Sensors accept all keys that are not retired. The one promoted last signs; a key that was never promoted is pending
    (docs/delivery.md#changing-the-signing-key).
    """

    key_id = models.CharField(max_length=32, primary_key=True)
    public_key = models.BinaryField(max_length=32)
    sealed_private_key = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)
    promoted_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    visibility: ClassVar = WholeEstateOnly("keys are for Owners; their public halves are published by the API")

    def __str__(self) -> str:
        return self.key_id


class Bundle(models.Model):
    """A signed version, byte for byte as sensors receive it.

    `created_at` is part of the payload: of two bundles with the same number sensors apply the later one. So each time
    blocking is stopped or resumed, or the set of keys changes, a version gets another bundle; also once a day, with a
    later expiry.
    """

    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="bundles")
    blocking_stopped = models.BooleanField()
    payload = models.BinaryField()
    etag = models.CharField(max_length=64, unique=True)
    key = models.ForeignKey(SigningKey, on_delete=models.PROTECT, related_name="+")
    signature = models.BinaryField(max_length=64)
    created_at = models.DateTimeField()

    visibility: ClassVar = Everybody("the one policy as sensors receive it")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "blocking_stopped", "created_at"], name="one_bundle_per_state")
        ]

    def __str__(self) -> str:
        return f"{self.version_id} {self.etag[:12]}"


class FleetState(models.Model):
    """The single row of state that concerns the whole fleet. Each push increments `epoch`, so a lost one is noticed.

    `blocking_reason` is why blocking was stopped, "" where nobody said. `resume_*` are a request to resume
    blocking that waits for a second person: who, when, and on which version.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    blocking_stopped = models.BooleanField(default=False)
    blocking_changed_at = models.DateTimeField(default=timezone.now)
    blocking_reason = models.CharField(max_length=1_000, blank=True, default="", db_default="")
    resume_asked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    resume_asked_at = models.DateTimeField(null=True)
    resume_version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, null=True, related_name="+")
    keys_changed_at = models.DateTimeField(default=NEVER, db_default=NEVER)
    refreshed_at = models.DateTimeField(default=NEVER, db_default=NEVER)
    epoch = models.PositiveBigIntegerField(default=0)

    visibility: ClassVar = Everybody("whether blocking is stopped concerns everybody")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="one_fleet_state"),
            models.CheckConstraint(
                condition=Q(resume_asked_by=None, resume_asked_at=None, resume_version=None)
                | Q(
                    blocking_stopped=True,
                    resume_asked_by__isnull=False,
                    resume_asked_at__isnull=False,
                    resume_version__isnull=False,
                ),
                name="resume_request_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"epoch {self.epoch}"
