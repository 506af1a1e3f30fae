"""Immutable versions of the policy, proposals, and each user's draft of the next version."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import Everybody, Own, User, VisibleQuerySet


class PolicyVersion(models.Model):
    """A saved version. A trigger rejects UPDATE and DELETE: a number always means the same document."""

    number = models.PositiveIntegerField(primary_key=True)
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    base = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")
    restored_from = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")
    author = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    """The other person, whose proposal `author` accepted; null where nobody else was involved."""
    comment = models.CharField(max_length=1_000, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = Everybody("one policy decides on the whole estate")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(proposed_by=None) | ~models.Q(proposed_by=models.F("author")),
                name="version_proposed_by_another",
            ),
            models.CheckConstraint(condition=models.Q(number__gte=1), name="version_number_from_one"),
            models.CheckConstraint(
                condition=models.Q(digest__regex=r"^[0-9a-f]{64}$"), name="version_digest_is_sha256"
            ),
        ]

    def __str__(self) -> str:
        return f"v{self.number}"


class NumberFloor(models.Model):
    """One row: every new version is numbered above `number`.

    Raised when a sensor reports a number that this portal never issued, because the portal was restored from an older
    backup: sensors apply only higher numbers. Saves lock the row, which orders them.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    number = models.PositiveIntegerField(default=0)

    visibility: ClassVar = Everybody("a number that says nothing about the estate")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(id=1), name="one_number_floor")]

    def __str__(self) -> str:
        return f"above {self.number}"


class ProposalState(models.TextChoices):
    """Where a proposal stands: open, or how it ended."""

    OPEN = "open", "Waiting"
    SAVED = "saved", "Saved"
    DECLINED = "declined", "Declined"
    WITHDRAWN = "withdrawn", "Withdrawn"


def _decided() -> models.Q:
    """Return the constraint: closed proposals have a decision, saved ones a version too, declined ones a comment."""
    still_open = models.Q(state=ProposalState.OPEN, decided_at=None, decided_by=None, version=None)
    decision: dict[str, Any] = {"decided_at__isnull": False, "decided_by__isnull": False}
    saved = models.Q(state=ProposalState.SAVED, version__isnull=False, **decision)
    declined = models.Q(state=ProposalState.DECLINED, version=None, **decision) & ~models.Q(word="")
    return still_open | saved | declined | models.Q(state=ProposalState.WITHDRAWN, version=None, **decision)


class PolicyProposal(models.Model):
    """The changes that a user proposes: their draft at that time, or an old version (`restores`).

    A trigger rejects changes of what is proposed: an admin who accepts it accepts what they read. `taken_by` is the
    admin who copied an open proposal to their draft; saving that draft saves the proposal. `word` is the admin's
    comment on a declined one.
    """

    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    base = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    document = models.JSONField()
    restores = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, null=True, related_name="+")
    comment = models.CharField(max_length=1_000, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=16, choices=ProposalState, default=ProposalState.OPEN)
    taken_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    word = models.CharField(max_length=1_000, blank=True)
    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, null=True, related_name="+")

    visibility: ClassVar = Everybody("proposals change the one policy, and are reviewed by all")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["author"], condition=models.Q(state=ProposalState.OPEN), name="one_open_proposal_each"
            ),
            models.CheckConstraint(condition=_decided(), name="proposal_decision_is_whole"),
        ]

    def __str__(self) -> str:
        return f"{self.author}'s proposal {self.pk}"

    @property
    def is_open(self) -> bool:
        return self.state == ProposalState.OPEN


class ProposalComment(models.Model):
    """What somebody wrote about a proposal. A trigger rejects UPDATE and DELETE: a discussion never changes."""

    proposal = models.ForeignKey(PolicyProposal, on_delete=models.PROTECT, related_name="comments")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.CharField(max_length=1_000)
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = Everybody("proposals change the one policy, and are reviewed by all")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [models.CheckConstraint(condition=~models.Q(text=""), name="proposal_comment_has_text")]

    def __str__(self) -> str:
        return f"{self.author} on {self.proposal}"


class PolicyDraft(models.Model):
    """A user's unsaved changes, and the version they started from.

    `revision` rises with every change; a write that names an older one is rejected (409).
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="draft")
    base = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    document = models.JSONField()
    revision = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = Own("user")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(revision__gte=1), name="draft_revision_from_one")
        ]

    def __str__(self) -> str:
        return f"{self.user}'s draft from {self.base}"


class DraftStep(models.Model):
    """What a user's draft was before its latest changes: base, document, and the change that `label` names.

    `revision` is that of the draft which the step restores. Steps end when the draft is saved or proposed.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    revision = models.PositiveIntegerField()
    base = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    document = models.JSONField()
    label = models.CharField(max_length=200)

    visibility: ClassVar = Own("user")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "revision"], name="one_step_per_revision")]

    def __str__(self) -> str:
        return f"{self.user}'s draft before: {self.label}"
