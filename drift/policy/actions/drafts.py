"""What changes drafts and makes versions."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.policy.actions import settlement as proposals
from drift.policy.domain import edits
from drift.policy.domain.diff import added_twice, diff
from drift.policy.domain.edits import Document, Edit
from drift.policy.domain.rebase import Clash, rebase
from drift.policy.errors import NewerVersion, StaleDraft, UnknownVersion
from drift.policy.models import NumberFloor, PolicyDraft, PolicyVersion
from drift.policy.queries.draft_state import Point, State, latest_number, latest_version, state_of
from drift.policy.signals import version_saved
from drift.queue import enqueue
from sensor.policy import digest

logger = logging.getLogger(__name__)

HIGHEST_FLOOR = 2_000_000_000
"""A sensor that claims more is lying: no version could be numbered above the column's limit."""


@transaction.atomic(durable=True)
def start_draft(user: User) -> PolicyDraft:
    """The user's draft, begun from the latest version where there is none. A draft without changes moves to it."""
    return _follow_latest(user)[0]


@transaction.atomic(durable=True)
def change_draft(user: User, at: Point, edit: Edit) -> State:
    """Apply `edit` to the draft that the caller saw at `at`, and return what is there now.

    Two writers for the same point race for one conditional UPDATE: one wins, the other gets
    StaleDraft and has changed nothing. Raises DocumentInvalid, UnknownRule, OrderMismatch likewise.
    """
    draft = draft_at(user, at)
    draft.document = edit(draft.document)
    write(draft)
    return state_after(draft)


@transaction.atomic(durable=True)
def discard_draft(user: User, at: Point) -> State:
    """Throw the changes away and start again from the latest version. Raises StaleDraft.

    The row stays, so that its revision never falls: a window that still shows the old draft stays stale.
    """
    draft = draft_at(user, at)
    proposals.release(user)
    reset(draft, latest_version())
    return state_after(draft)


@transaction.atomic(durable=True)
def rebase_draft(user: User, at: Point) -> tuple[State, list[Clash]]:
    """Put the draft's changes on top of the latest version, and return what both sides had changed.

    Raises StaleDraft; DocumentInvalid where both together break a limit.
    """
    draft = draft_at(user, at)
    latest = latest_version()
    merged, clashes = rebase(draft.base.document, draft.document, latest.document)
    draft.base, draft.document = latest, edits.checked(merged)
    write(draft)
    return state_after(draft), clashes


@dataclass(frozen=True)
class Saved:
    """The outcome of a Save: the latest version, and whether this Save made it."""

    version: PolicyVersion
    is_new: bool


@transaction.atomic(durable=True)
def save_draft(user: User, at: Point, comment: str = "") -> Saved:
    """Make the draft the next version. Raises StaleDraft, NewerVersion."""
    latest = lock_latest()
    draft = draft_at(user, at)
    saved = save_over(user, draft.base, draft.document, comment, latest)
    proposals.settle(user, saved.version if saved.is_new else None)
    reset(draft, saved.version)
    return saved


@transaction.atomic(durable=True)
def save_document(user: User, document: object, base: int, comment: str = "") -> Saved:
    """Make a whole document the next version, if version `base` is the latest; the user's draft is left alone.

    A document equal to the latest makes no version. Raises DocumentInvalid, NewerVersion, UnknownVersion.
    """
    checked = edits.checked(document)
    latest = lock_latest()
    start = PolicyVersion.objects.filter(number=base).first()
    if start is None:
        raise UnknownVersion
    return save_over(user, start, checked, comment, latest)


@transaction.atomic(durable=True)
def restore_version(user: User, number: int, base: int, comment: str = "") -> Saved:
    """Make the document of version `number` the next version, if version `base` is the latest.

    A document equal to the latest makes no version. Raises NewerVersion, UnknownVersion.
    """
    latest = lock_latest()
    versions = PolicyVersion.objects.in_bulk([number, base])
    if not {number, base} <= versions.keys():
        raise UnknownVersion
    return save_over(user, versions[base], versions[number].document, comment, latest, restored=versions[number])


@transaction.atomic(durable=True)
def disable_expired_rules(now: dt.datetime) -> PolicyVersion | None:
    """Save a version, as the system, with every rule disabled that is enabled and expired by `now`; None if none is."""
    latest = lock_latest()
    expired = [rule for rule in latest.document["rules"] if rule["enabled"] and _is_expired(rule["expires_at"], now)]
    if not expired:
        return None
    document = edits.set_enabled({rule["id"] for rule in expired}, enabled=False)(latest.document)
    names = ", ".join(rule["name"] for rule in expired)
    return _make_version(None, latest, document, f"Expired, so disabled: {names}"[:1_000])


@transaction.atomic
def raise_number_floor(number: int) -> bool:
    """Number every later version above `number`, which a sensor reported and this portal never gave.

    Returns whether anything changed; a lower number than before changes nothing.
    """
    if number > HIGHEST_FLOOR:
        logger.warning("a sensor reported the impossible policy number %d: ignored", number)
        return False
    raised = NumberFloor.objects.filter(number__lt=number).update(number=number)
    if raised:
        audit.record(None, "raised", "policy number floor", number)
    return bool(raised)


def _is_expired(expires_at: str | None, now: dt.datetime) -> bool:
    return expires_at is not None and dt.datetime.fromisoformat(expires_at) <= now


def _follow_latest(user: User) -> tuple[PolicyDraft, bool]:
    """The user's draft row, and whether this call made it; moved to the latest version where it holds no changes."""
    draft = PolicyDraft.objects.select_related("base").filter(user=user).first()
    if draft is None:
        latest = latest_version()
        start = {"base": latest, "document": latest.document}
        return PolicyDraft.objects.select_related("base").get_or_create(user=user, defaults=start)
    if draft.base_id != latest_number() and draft.document == draft.base.document:
        reset(draft, latest_version(), keeps_revision=True)
    return draft, False


def draft_at(user: User, at: Point) -> PolicyDraft:
    """The draft, if it is at `at`; one that this call begins is what a caller who saw none meant."""
    draft, is_new = _follow_latest(user)
    if draft.base_id != at.base or at.revision != (0 if is_new else draft.revision):
        raise StaleDraft
    return draft


def write(draft: PolicyDraft) -> None:
    """Store `draft` as its next revision, unless another writer did so since it was read."""
    rows = PolicyDraft.objects.filter(pk=draft.pk, revision=draft.revision)
    new = draft.revision + 1
    if not rows.update(document=draft.document, base=draft.base, revision=new, updated_at=timezone.now()):
        raise StaleDraft
    draft.revision = new


def reset(draft: PolicyDraft, version: PolicyVersion, *, keeps_revision: bool = False) -> None:
    """Start the draft again from `version`, without changes."""
    draft.base, draft.document = version, version.document
    if keeps_revision:
        rows = PolicyDraft.objects.filter(pk=draft.pk, revision=draft.revision)
        rows.update(base=version, document=version.document)
    else:
        write(draft)


def state_after(draft: PolicyDraft) -> State:
    """What the draft's user sees now that it was written."""
    latest = latest_number()
    if draft.base_id != latest and draft.document == draft.base.document:
        return state_of(draft.user)
    return State(draft.base, draft.document, draft.revision, latest)


def lock_latest() -> PolicyVersion:
    """The latest version, and no other Save until this transaction ends: Saves queue for the number floor's row."""
    NumberFloor.objects.select_for_update().get()
    return latest_version()


def save_over(
    user: User,
    base: PolicyVersion,
    document: Document,
    comment: str,
    latest: PolicyVersion,
    *,
    restored: PolicyVersion | None = None,
) -> Saved:
    """Make a checked document that started from `base` the version after `latest`, which the caller has locked.

    One equal to the latest makes none. Raises NewerVersion where `base` is another.
    """
    if digest(document) == latest.digest:
        return Saved(latest, is_new=False)
    if base.number != latest.number:
        theirs, yours = diff(base.document, latest.document), diff(base.document, document)
        twice = added_twice(base.document, latest.document, document)
        raise NewerVersion(base.number, latest.number, theirs, yours, twice)
    return Saved(_make_version(user, latest, document, comment, restored), is_new=True)


def _make_version(
    user: User | None,
    latest: PolicyVersion,
    document: Document,
    comment: str,
    restored: PolicyVersion | None = None,
) -> PolicyVersion:
    """Store the version after `latest`, tell the audit log and whoever listens, and ask for its rollout on commit."""
    version = PolicyVersion.objects.create(
        number=max(latest.number, NumberFloor.objects.get().number) + 1,
        document=document,
        digest=digest(document),
        base=latest,
        restored_from=restored,
        author=user,
        comment=comment,
    )
    _record(user, latest, version)
    version_saved.send(PolicyVersion, version=version)
    enqueue("fleet.start_rollout", version.number)
    return version


def _record(user: User | None, latest: PolicyVersion, version: PolicyVersion) -> None:
    changes = [change.as_json() for change in diff(latest.document, version.document)]
    after = {"version": version.number, "digest": version.digest, "comment": version.comment, "changes": changes}
    if version.restored_from_id is not None:
        after["restored_from"] = version.restored_from_id
    audit.record(
        user,
        "saved" if version.restored_from_id is None else "restored",
        "policy version",
        version.number,
        name=str(version),
        before={"version": latest.number, "digest": latest.digest},
        after=after,
    )
