"""The policy as a user sees it: their draft if it has changes, else the latest version."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from accounts.roles import Role
from drift.policy.domain.diff import Change, diff
from drift.policy.domain.draft_revision import DraftRevision
from drift.policy.domain.edits import Document
from drift.policy.models import PolicyDraft, PolicyVersion
from drift.policy.queries.approval import approval_rule
from drift.policy.queries.versions import latest_number, latest_version


@dataclass(frozen=True)
class DraftState:
    """A user's view of the policy: `document` is the draft's, or the base's where nothing has changed.

    Read once per request and passed on. Actions write only if it is still what is stored.
    """

    user: User
    base: PolicyVersion
    document: Document
    revision: int
    latest: int

    @property
    def draft_revision(self) -> DraftRevision:
        return DraftRevision(self.base.number, self.revision)

    @property
    def can_edit(self) -> bool:
        """Whether the user may change rules in a draft. Operators propose it; admins may save it."""
        return self.user.has_role(Role.OPERATOR)

    @property
    def can_save(self) -> bool:
        return self.user.can_edit_policy

    @property
    def needs_approver(self) -> bool:
        """Whether an admin too must propose this draft (docs/policy-semantics.md#second-approver)."""
        return self.can_save and self.is_dirty and approval_rule().applies(self.base.document, self.document)

    @property
    def saves_alone(self) -> bool:
        """Whether the user may save these changes without another person."""
        return self.can_save and not self.needs_approver

    @property
    def is_dirty(self) -> bool:
        """Whether there is anything to save."""
        return bool(self.document != self.base.document)

    @property
    def is_behind(self) -> bool:
        """Whether another version was saved since these changes were started."""
        return self.base.number != self.latest

    @property
    def changes(self) -> list[Change]:
        """The draft's changes to its base."""
        return diff(self.base.document, self.document) if self.is_dirty else []

    def expect(self, seen: DraftRevision) -> DraftState:
        """Return this state if it is the one that the client saw. Raises StaleDraft."""
        self.draft_revision.expect(seen)
        return self


def draft_state(user: User) -> DraftState:
    """Return the user's draft. A draft without changes follows the latest version. At most three SQL queries."""
    draft = PolicyDraft.objects.select_related("base").filter(user=user).first()
    latest = latest_number()
    if draft and (draft.base_id == latest or draft.document != draft.base.document):
        return DraftState(user, draft.base, draft.document, draft.revision, latest)
    version = latest_version()
    return DraftState(user, version, version.document, draft.revision if draft else 0, version.number)


def visible_state(user: User) -> DraftState:
    """Return the policy page's content: the draft for users who can draft, the latest version for others."""
    if user.has_role(Role.OPERATOR):
        return draft_state(user)
    latest = latest_version()
    return DraftState(user, latest, latest.document, 0, latest.number)
