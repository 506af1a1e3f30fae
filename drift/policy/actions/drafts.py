"""Change, discard and rebase a user's draft.

Each action takes the DraftState that its caller read, and writes only if that is still what is stored. Of two writers
with the same state one wins; the other gets StaleDraft and has changed nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from drift.policy.actions.draft_steps import keep_step, newest_step
from drift.policy.actions.proposal_outcomes import release_proposals
from drift.policy.domain.default_blocking import begins_to_use_blocking
from drift.policy.domain.edits import Document, Edit, checked
from drift.policy.domain.rebase import Clash, rebase
from drift.policy.errors import StaleDraft
from drift.policy.models import PolicyDraft, PolicyVersion
from drift.policy.queries.drafts import DraftState
from drift.policy.queries.save_conditions import check_default_rule
from drift.policy.queries.versions import latest_version

FIRST_WRITE: Final = 2
"""The revision that a user's first write stores; 1 is a draft as it started, without changes."""


@transaction.atomic(durable=True)
def change_draft(state: DraftState, edit: Edit, label: str = "Draft changed") -> DraftState:
    """Apply `edit` to the draft and return what the user sees then; `label` names the change for its undo.

    Raises StaleDraft, DefaultMayNotBlock, and what the edit raises: DocumentInvalid, UnknownRule, OrderMismatch.
    """
    changed = edit(state.document)
    # Here and not at Save alone: nobody should work on what cannot be saved. A draft that blocks already can be edited.
    if begins_to_use_blocking(state.document, changed):
        check_default_rule(state.base.document, changed)
    return _change(state, state.base, changed, label)


@transaction.atomic(durable=True)
def discard_draft(state: DraftState) -> DraftState:
    """Discard the changes and start again from the latest version. Raises StaleDraft.

    The row stays, so that its revision never falls: a window that still shows the old draft stays stale.
    """
    release_proposals(state.user)
    latest = latest_version()
    return _change(state, latest, latest.document, "Changes discarded")


@transaction.atomic(durable=True)
def undo_change(state: DraftState) -> tuple[DraftState, str]:
    """Return the draft to what it was before its newest change, and what that change was.

    Proposals in the draft are released, since their changes may no longer be in it. Raises StaleDraft, NothingToUndo.
    """
    step = newest_step(state.user)
    release_proposals(state.user)
    # The draft before its step, as every writer: one that waits for the other here finds its state stale.
    written = write_draft(state, step.base, step.document)
    step.delete()
    return written, step.label


@transaction.atomic(durable=True)
def rebase_draft(state: DraftState) -> tuple[DraftState, list[Clash]]:
    """Reapply the draft's changes to the latest version, and return what both sides had changed.

    Raises StaleDraft; DocumentInvalid where the merged document breaks a limit.
    """
    latest = latest_version()
    merged, clashes = rebase(state.base.document, state.document, latest.document)
    return _change(state, latest, checked(merged), f"Changes reapplied to {latest}"), clashes


def _change(state: DraftState, base: PolicyVersion, document: Document, label: str) -> DraftState:
    """Write a change that can be undone; one that changes nothing leaves nothing to undo."""
    written = write_draft(state, base, document)
    if (base, document) != (state.base, state.document):
        keep_step(state, label)
    return written


def write_draft(state: DraftState, base: PolicyVersion, document: Document) -> DraftState:
    """Store `document` as the draft's next revision, unless another writer did so since `state` was read.

    Returns what the user sees then. Raises StaleDraft. The caller has opened a transaction.
    """
    revision = state.revision + 1 if state.revision else FIRST_WRITE
    fields = {"base": base, "document": document, "revision": revision, "updated_at": timezone.now()}
    if not state.revision:
        _insert(state, fields)
    # The revision in the WHERE clause is the lock: no row is held while a user or an edit takes its time.
    elif not PolicyDraft.objects.filter(user=state.user, revision=state.revision).update(**fields):
        raise StaleDraft
    latest = max(state.latest, base.number)
    written = replace(state, base=base, document=document, revision=revision, latest=latest)
    if written.is_behind and not written.is_dirty:
        # A draft without changes follows the latest version.
        newest = latest_version()
        return replace(written, base=newest, document=newest.document, latest=newest.number)
    return written


def _insert(state: DraftState, fields: dict[str, object]) -> None:
    """Create the draft's row; of two first writers the database lets one through."""
    try:
        # A savepoint: without it the failed INSERT would abort the caller's whole transaction.
        with transaction.atomic():
            PolicyDraft.objects.create(user=state.user, **fields)
    except IntegrityError:
        raise StaleDraft from None
