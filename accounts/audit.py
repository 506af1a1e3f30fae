"""Write the audit log, in the transaction of the change that it records."""

from __future__ import annotations

from typing import Any

from accounts.models import AuditEntry, User

SYSTEM = "Driftwatch"
"""The actor of changes that no user made."""


def record(
    actor: User | None,
    verb: str,
    object_type: str,
    object_id: object,
    *,
    name: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    actor_name: str = "",
) -> None:
    """Add one entry. `verb` is in the past tense ("saved", "dismissed"); `before` and `after` must hold no secret."""
    AuditEntry.objects.create(
        actor=actor,
        actor_name=actor.email if actor else actor_name or SYSTEM,
        verb=verb,
        object_type=object_type,
        object_id=str(object_id),
        object_name=name[:256],
        before=before,
        after=after,
    )
