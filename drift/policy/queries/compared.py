"""The pairs of documents whose difference a page shows, by the name that its parts refer to them by."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from drift.policy.domain.edits import Document, set_default_action
from drift.policy.domain.rebase import rebase
from drift.policy.errors import DocumentInvalid
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import visible_state
from drift.policy.queries.proposals import proposal
from drift.policy.queries.versions import MAX_NUMBER, latest_version, visible_version
from drift.web.requests import bounded_int


@dataclass(frozen=True)
class Compared:
    """What changes (`after`), and the version that it is compared with (`base`, and its document `before`)."""

    base: PolicyVersion
    before: Document
    after: Document


def compared(user: User, name: str) -> Compared | None:
    """Return the pair that `name` refers to, as far as the user sees it, else None.

    `draft`: the user's draft and its base. `default:ACTION`: the draft, and the same with that default action;
    `default:dry_run` with one that only records what it would block.
    `versions:FROM:TO`. `proposal:ID`: its base and its document. `merged:ID`: the latest version, and that with an
    open proposal's changes; None where they conflict.
    """
    match name.split(":"):
        case ["draft"]:
            state = visible_state(user)
            return Compared(state.base, state.base.document, state.document)
        case ["default", action]:
            return _default(user, action)
        case ["versions", start, to]:
            return _versions(user, start, to)
        case ["proposal" | "merged" as kind, pk]:
            return _proposal(user, pk, is_merged=kind == "merged")
    return None


def _default(user: User, action: str) -> Compared | None:
    state = visible_state(user)
    edit = set_default_action("block", dry_run=True) if action == "dry_run" else set_default_action(action)
    try:
        return Compared(state.base, state.document, edit(state.document))
    except DocumentInvalid:
        return None


def _versions(user: User, start: str, to: str) -> Compared | None:
    numbers = bounded_int(start, maximum=MAX_NUMBER), bounded_int(to, maximum=MAX_NUMBER)
    one, other = (visible_version(user, number) if number is not None else None for number in numbers)
    return Compared(one, one.document, other.document) if one and other else None


def _proposal(user: User, pk: str, *, is_merged: bool) -> Compared | None:
    number = bounded_int(pk)
    found = proposal(user, number) if number is not None else None
    if found is None:
        return None
    if not is_merged:
        return Compared(found.base, found.base.document, found.document)
    latest = latest_version()
    merged, clashes = rebase(found.base.document, found.document, latest.document)
    return Compared(latest, latest.document, merged) if found.is_open and not clashes else None
