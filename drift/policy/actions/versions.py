"""Save versions of the policy: from a draft, a document or an old version, and where rules have expired."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.roles import Role
from drift.policy.actions.draft_steps import forget_steps
from drift.policy.actions.drafts import write_draft
from drift.policy.actions.proposal_outcomes import settle_proposals
from drift.policy.domain import edits
from drift.policy.domain.conflicts import NewerVersion
from drift.policy.domain.diff import added_twice, diff
from drift.policy.domain.edits import Document
from drift.policy.errors import ApproverRequired, RoleEnded, UnknownVersion
from drift.policy.models import NumberFloor, PolicyVersion
from drift.policy.queries.approval import approval_rule
from drift.policy.queries.drafts import DraftState
from drift.policy.queries.save_conditions import check_default_rule, check_save
from drift.policy.queries.versions import find_version, latest_version
from drift.policy.signals import version_saved
from drift.queue import enqueue
from sensor.policy import digest

logger = logging.getLogger(__name__)

HIGHEST_FLOOR: Final = 2_000_000_000
"""A sensor that reports more is lying: no version could be numbered above the column's limit."""


@dataclass(frozen=True)
class Saved:
    """The outcome of a save: the latest version, and whether this save made it."""

    version: PolicyVersion
    is_new: bool


@transaction.atomic(durable=True)
def save_draft(state: DraftState, comment: str = "", confirmation: str = "") -> Saved:
    """Make the draft the next version. Raises StaleDraft, and what `save_next_version` raises."""
    latest = lock_latest()
    saved = save_next_version(state.user, state.base, state.document, comment, latest, confirmation=confirmation)
    settle_proposals(state.user, saved.version if saved.is_new else None)
    write_draft(state, saved.version, saved.version.document)
    forget_steps(state.user)
    return saved


@transaction.atomic(durable=True)
def save_document(
    user: User, document: object, base: int, comment: str = "", confirmation: str = "", *, was_in_force: bool = False
) -> Saved:
    """Make a whole document the next version, if version `base` is the latest; drafts are not changed.

    A document equal to the latest makes no version. Raises DocumentInvalid, UnknownVersion, and what
    `save_next_version` raises.
    """
    checked = edits.checked_texts(document)
    latest = lock_latest()
    seen = existing_version(base)
    return save_next_version(user, seen, checked, comment, latest, confirmation=confirmation, was_in_force=was_in_force)


@transaction.atomic(durable=True)
def restore_version(user: User, number: int, base: int, comment: str = "", confirmation: str = "") -> Saved:
    """Make the document of version `number` the next version, if version `base` is the latest.

    A document equal to the latest makes no version. Raises UnknownVersion, and what `save_next_version` raises.
    """
    latest = lock_latest()
    restored, seen = existing_version(number), existing_version(base)
    return save_next_version(
        user, seen, restored.document, comment, latest, restored=restored, confirmation=confirmation
    )


@transaction.atomic(durable=True)
def disable_expired_rules(now: dt.datetime) -> PolicyVersion | None:
    """Save a version, as the system, that disables every enabled rule that has expired by `now`; None if none has.

    No approver is required: whoever accepted the rule accepted its end.
    """
    latest = lock_latest()
    expired = [rule for rule in latest.document["rules"] if rule["enabled"] and _is_expired(rule["expires_at"], now)]
    if not expired:
        return None
    document = edits.set_enabled({rule["id"] for rule in expired}, enabled=False)(latest.document)
    names = ", ".join(rule["name"] for rule in expired)
    return _make_version(None, latest, document, f"Expired, so disabled: {names}"[:1_000])


@transaction.atomic
def raise_number_floor(number: int) -> bool:
    """Number every later version above `number`, which a sensor reported and this portal never issued.

    Returns whether the floor rose; a lower number than before changes nothing.
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


def existing_version(number: int) -> PolicyVersion:
    """Return the version that a save names. Raises UnknownVersion."""
    found = find_version(number)
    if found is None:
        raise UnknownVersion
    return found


def lock_latest() -> PolicyVersion:
    """Return the latest version, and keep other saves out until this transaction ends."""
    # Saves queue for the one row of the number floor. The version is read after that: the save before may have made it.
    NumberFloor.objects.select_for_update().get()
    return latest_version()


def save_next_version(
    user: User,
    base: PolicyVersion,
    document: Document,
    comment: str,
    latest: PolicyVersion,
    *,
    restored: PolicyVersion | None = None,
    proposed_by: User | None = None,
    confirmation: str = "",
    was_in_force: bool = False,
) -> Saved:
    """Make a checked document that started from `base` the version after `latest`, which the caller has locked.

    `proposed_by` is the other person whose proposal `user` accepts. A document equal to the latest makes no version.
    `was_in_force`: a rollback, which waits for no confirmation.
    Raises NewerVersion where `base` is not the latest, DefaultMayNotBlock, ApproverRequired where the change needs
    another person, RoleEnded, and what `check_save` raises until `confirmation` has it.
    """
    if digest(document) == latest.digest:
        return Saved(latest, is_new=False)
    if base.number != latest.number:
        theirs, yours = diff(base.document, latest.document), diff(base.document, document)
        twice = added_twice(base.document, latest.document, document)
        raise NewerVersion(base.number, latest.number, theirs, yours, twice)
    # Here, where every version that a person saves comes by: a save by one of them alone must not have another way.
    check_default_rule(latest.document, document)
    if proposed_by is None and approval_rule().applies(latest.document, document):
        raise ApproverRequired
    # Read anew: whoever waited for another save may have lost the role meanwhile.
    if not User.objects.get(pk=user.pk).has_role(Role.ADMIN):
        raise RoleEnded
    if not was_in_force:
        check_save(latest, document, confirmation)
    version = _make_version(user, latest, document, comment, restored=restored, proposed_by=proposed_by)
    return Saved(version, is_new=True)


def _make_version(
    user: User | None,
    latest: PolicyVersion,
    document: Document,
    comment: str,
    *,
    restored: PolicyVersion | None = None,
    proposed_by: User | None = None,
) -> PolicyVersion:
    """Store the version after `latest`, audit it, notify its receivers, and queue its rollout on commit."""
    version = PolicyVersion.objects.create(
        number=max(latest.number, NumberFloor.objects.get().number) + 1,
        document=document,
        digest=digest(document),
        base=latest,
        restored_from=restored,
        author=user,
        proposed_by=proposed_by,
        comment=comment,
    )
    _audit(user, latest, version)
    version_saved.send(PolicyVersion, version=version)
    enqueue("fleet.start_rollout", version.number)
    return version


def _audit(user: User | None, latest: PolicyVersion, version: PolicyVersion) -> None:
    changes = [change.as_json() for change in diff(latest.document, version.document)]
    after = {"version": version.number, "digest": version.digest, "comment": version.comment, "changes": changes}
    if version.restored_from_id is not None:
        after["restored_from"] = version.restored_from_id
    if version.proposed_by is not None:
        after["proposed_by"] = version.proposed_by.email
    audit.record(
        user,
        "saved" if version.restored_from_id is None else "restored",
        "policy version",
        version.number,
        name=str(version),
        before={"version": latest.number, "digest": latest.digest},
        after=after,
    )
