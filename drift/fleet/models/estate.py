"""Environments, their clusters, and the tokens that let nodes enrol."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ScopedPlace, User, VisibleQuerySet, WholeEstateOnly


class Provider(models.TextChoices):
    AZURE = "azure", "Azure"
    AWS = "aws", "AWS"
    GCP = "gcp", "GCP"


class Distribution(models.TextChoices):
    AKS = "aks", "AKS"
    EKS = "eks", "EKS"
    GKE = "gke", "GKE"
    OTHER = "other", "Other"


class Environment(models.Model):
    """A cloud account: Azure subscription, AWS account or GCP project."""

    provider = models.CharField(max_length=8, choices=Provider)
    account = models.CharField(max_length=256)
    name = models.CharField(max_length=128)
    sensor_enabled = models.BooleanField(default=True)
    proved_since = models.DateTimeField(null=True, blank=True)
    """When *Proof of detection* was switched on (docs/proof.md); null while it is off."""
    exec_history = models.BooleanField(default=True, db_default=True)
    """*Execution history*: whether its sensors keep and report what containers execute around their drift."""
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = ScopedPlace(environment="pk")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "account"], name="one_environment_per_account"),
            models.CheckConstraint(condition=Q(provider__in=Provider.values), name="provider_is_known"),
        ]

    def __str__(self) -> str:
        return self.name


class Cluster(models.Model):
    """A Kubernetes cluster, or a group of hosts without Kubernetes (distribution *other*, version null)."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="clusters")
    name = models.CharField(max_length=128)
    distribution = models.CharField(max_length=8, choices=Distribution)
    kubernetes_version = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001 - None: no Kubernetes
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = ScopedPlace(cluster="pk")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["environment", "name"], name="one_cluster_per_name"),
            models.CheckConstraint(condition=Q(distribution__in=Distribution.values), name="distribution_is_known"),
            models.CheckConstraint(
                condition=Q(kubernetes_version__isnull=False) | Q(distribution="other"),
                name="only_plain_hosts_lack_a_version",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class EnrolmentToken(models.Model):
    """A token with which nodes enrol into one environment, optionally into one cluster of it only."""

    name = models.CharField(max_length=128)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="enrolment_tokens")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True)
    max_live_nodes = models.PositiveIntegerField(default=1_000)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = WholeEstateOnly("who may enrol nodes is for Admins")
    objects = VisibleQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
