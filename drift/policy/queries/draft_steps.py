"""What can be undone in a user's draft."""

from __future__ import annotations

from accounts.models import User
from drift.policy.models import DraftStep


def undo_label(user: User) -> str:
    """Return the change of the user's draft that an undo takes back; "" where there is none."""
    newest = DraftStep.objects.filter(user=user).order_by("-revision").values_list("label", flat=True).first()
    return newest or ""
