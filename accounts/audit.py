"""Write the audit log, in the transaction of the change that it records."""

from __future__ import annotations

from typing import Any

from accounts.models import AuditEntry, User
from accounts.request_context import current_source

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
    """Add one entry. `verb` is in the past tense ("saved", "dismissed"); `before` and `after` must hold no secret.

    Address, session, token and request id are those of the request that is being served (`accounts.request_context`).
    The entry is sealed into the chain later, by one process: no change waits for another's.
    """
    source = current_source()
    AuditEntry.objects.create(
        actor=actor,
        actor_name=actor.email if actor else actor_name or SYSTEM,
        verb=verb,
        object_type=object_type,
        object_id=str(object_id)[:64],
        object_name=name[:256],
        before=before,
        after=after,
        origin=source.origin,
        address=source.address,
        agent=source.agent,
        session=source.session,
        token=source.token,
        request_id=source.request_id,
    )
