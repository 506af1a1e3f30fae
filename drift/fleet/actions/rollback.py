"""One button back: a new number with an old document, for everybody at once."""

from __future__ import annotations

from accounts.models import User
from drift.fleet.actions.rollout_waves import FOR_ALL
from drift.fleet.errors import FleetError
from drift.policy.actions.versions import save_document
from drift.policy.domain.conflicts import NewerVersion
from drift.policy.models import PolicyVersion


def rollback_target(number: int) -> PolicyVersion | None:
    """What the fleet ran before version `number`: the newest older one that all were given and that differs."""
    bad = PolicyVersion.objects.filter(number=number).values_list("digest", flat=True).first()
    if bad is None:
        return None
    older = PolicyVersion.objects.filter(FOR_ALL, number__lt=number)
    found: PolicyVersion | None = older.exclude(digest=bad).defer("document").order_by("-number").first()
    return found


def roll_back(actor: User, number: int) -> PolicyVersion:
    """Save the document that was before version `number` as the newest version; sensors obey its higher number.

    Raises Refused 409 `nothing_before`; 409 `not_newest` where `number` is not the newest any more.
    """
    target = rollback_target(number)
    if target is None:
        raise FleetError("nothing_before", "There is no earlier version to go back to.", status=409)
    if PolicyVersion.objects.filter(number__gt=number).exists():
        raise _not_newest(number)
    comment = f"Rolled back from v{number} to v{target.number}"
    try:
        return save_document(actor, target.document, number, comment).version
    except NewerVersion:  # saved since we looked
        raise _not_newest(number) from None


def _not_newest(number: int) -> FleetError:
    return FleetError("not_newest", f"v{number} is not the newest version any more.", status=409)
