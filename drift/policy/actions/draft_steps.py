"""Keep what a draft was before each change, so that a change can be undone. The caller has opened a transaction."""

from __future__ import annotations

from typing import Final

from accounts.models import User
from drift.policy.errors import NothingToUndo
from drift.policy.models import DraftStep
from drift.policy.queries.drafts import DraftState

MAX_STEPS: Final = 20
"""Changes of a draft that can be undone; a document may take a megabyte."""
MAX_LABEL: Final = 200


def keep_step(state: DraftState, label: str) -> None:
    """Keep the draft as it is in `state`, before the change that `label` names."""
    # A state without changes follows the latest version, and may be read before its row has a revision of its own.
    fields = {"base": state.base, "document": state.document, "label": label[:MAX_LABEL]}
    DraftStep.objects.bulk_create(
        [DraftStep(user=state.user, revision=state.revision, **fields)],
        update_conflicts=True,
        unique_fields=["user", "revision"],
        update_fields=list(fields),
    )
    if state.revision < MAX_STEPS:
        return  # there are no more steps than revisions, which count from 0
    # Counted, not told by revision: an undo uses up a revision too.
    kept = DraftStep.objects.filter(user=state.user).order_by("-revision").values("pk")[:MAX_STEPS]
    DraftStep.objects.filter(user=state.user).exclude(pk__in=kept).delete()


def newest_step(user: User) -> DraftStep:
    """Return the step that an undo restores. Raises NothingToUndo."""
    step: DraftStep | None = DraftStep.objects.filter(user=user).select_related("base").order_by("-revision").first()
    if step is None:
        raise NothingToUndo
    return step


def forget_steps(user: User) -> None:
    """End all undo: the draft was saved or proposed."""
    DraftStep.objects.filter(user=user).delete()
