"""Enrolment tokens: created by an administrator, shown once, revoked."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone

from accounts import audit, tokens
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
    """Create a token for the nodes of one environment, or of one of its clusters.

    The caller has checked that the cluster belongs to the environment. Returns the row and the token itself, which is
    not stored.
    """
    new = tokens.new_token(tokens.ENROLMENT)
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
        "environment": environment.name,
        "cluster": cluster.name if cluster else None,
        "expires_at": expires_at.isoformat() if expires_at else None,
        "max_live_nodes": max_live_nodes,
    }
    audit.record(actor, "created", "enrolment token", row.pk, name=name, after=after)
    return row, new.token


@transaction.atomic(durable=True)
def revoke_enrolment_token(actor: User, token: EnrolmentToken) -> None:
    """Let no more nodes enrol with it; its sensors stay. Revoking it again changes nothing."""
    if EnrolmentToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(actor, "revoked", "enrolment token", token.pk, name=token.name)
