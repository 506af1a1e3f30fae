"""What a user sees: their draft where it holds changes, else the latest version."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from drift.policy.domain.diff import Change, diff
from drift.policy.domain.edits import Document
from drift.policy.models import PolicyDraft, PolicyVersion


@dataclass(frozen=True)
class Point:
    """Which state of the draft a write was made for: the version it started from, and its revision (0: no draft yet).

    Written `12.3` on the wire: the draft's ETag, and a hidden field of every form.
    """

    base: int
    revision: int

    @classmethod
    def parse(cls, text: str) -> Point | None:
        """None where the text is no point."""
        base, _, revision = text.strip().strip('"').partition(".")
        if not (_is_number(base) and _is_number(revision)):
            return None
        return cls(int(base), int(revision))

    def __str__(self) -> str:
        return f"{self.base}.{self.revision}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


@dataclass(frozen=True)
class State:
    """A user's view of the policy: `document` is the draft's, or the base's where nothing has changed."""

    base: PolicyVersion
    document: Document
    revision: int
    latest: int

    @property
    def point(self) -> Point:
        return Point(self.base.number, self.revision)

    @property
    def is_dirty(self) -> bool:
        """Whether there is anything to save."""
        return bool(self.document != self.base.document)

    @property
    def is_behind(self) -> bool:
        """Whether somebody saved since these changes were begun."""
        return self.base.number != self.latest

    @property
    def changes(self) -> list[Change]:
        """What the draft does to its base."""
        return diff(self.base.document, self.document) if self.is_dirty else []


def latest_version() -> PolicyVersion:
    """The newest version; version 1 is made by a migration, so there always is one."""
    version: PolicyVersion = PolicyVersion.objects.order_by("-number")[0]
    return version


def latest_number() -> int:
    """The newest version's number, without its document, which may be large."""
    number: int = PolicyVersion.objects.order_by("-number").values_list("number", flat=True)[0]
    return number


def state_of(user: User) -> State:
    """What `user` sees. A draft without changes follows the latest version by itself. Three queries at most."""
    draft = PolicyDraft.objects.select_related("base").filter(user=user).first()
    latest = latest_number()
    if draft and (draft.base_id == latest or draft.document != draft.base.document):
        return State(draft.base, draft.document, draft.revision, latest)
    version = latest_version()
    return State(version, version.document, draft.revision if draft else 0, version.number)
