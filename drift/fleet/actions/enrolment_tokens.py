"""Enrolment tokens: made by an administrator, shown once, revoked."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts import tokens as bearer
from accounts.models import User
from drift.fleet.models import Cluster, EnrolmentToken, Environment


@transaction.atomic(durable=True)
def create_enrolment_token(
    actor: User | None,
    *,
    name: str,
    environment: Environment,
    cluster: Cluster | None = None,
    expires_at: dt.datetime | None = None,
    max_live_nodes: int = 1_000,
) -> tuple[EnrolmentToken, str]:
    """A token for nodes of one environment, or of one of its clusters, which the caller has checked to be its.

    Returns the row, and the text that only its first reader sees.
    """
    new = bearer.new_token(bearer.ENROLMENT)
    row = EnrolmentToken.objects.create(
        name=name,
        prefix=new.prefix,
        digest=new.digest,
        environment=environment,
        cluster=cluster,
        expires_at=expires_at,
        max_live_nodes=max_live_nodes,
        created_by=actor,
    )
    after = {
        "prefix": new.prefix,
        "environment": environment.name,
        "cluster": cluster.name if cluster else None,
        "expires_at": expires_at.isoformat() if expires_at else None,
        "max_live_nodes": max_live_nodes,
    }
    audit.record(actor, "created", "enrolment token", row.pk, name=name, after=after)
    return row, new.token


@transaction.atomic(durable=True)
def revoke_enrolment_token(actor: User, token: EnrolmentToken) -> None:
    """No node enrols with it any more; sensors that did stay. Twice is the same as once."""
    if EnrolmentToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(actor, "revoked", "enrolment token", token.pk, name=token.name)
