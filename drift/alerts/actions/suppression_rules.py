"""Create, change and delete suppression rules, and count the alerts that they dismiss."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from accounts import audit
from accounts.models import User, VisibleQuerySet
from drift.alerts.domain.suppression_match import Conditions, conditions_error
from drift.alerts.errors import ChangeConflict, Invalid, OutOfScope, check_plain
from drift.alerts.models import SuppressedContent, SuppressionRule
from drift.alerts.queries.suppression_preview import SuppressionPreview, preview_suppression
from drift.alerts.queries.suppression_scope import is_in_scope, visible_rule
from drift.fleet.models import Environment

REASONS: Final = {
    "false_positive": "False positive",
    "expected": "Expected behaviour",
    "accepted_risk": "Accepted risk",
    "other": "Other",
}
NOT_OWN: Final = "This rule also covers what is outside your scope, so you cannot change it."
OUT_OF_SCOPE: Final = (
    "Your rules may cover only what is in your scope. Choose your subscriptions, or name your clusters and namespaces "
    "with “equals”."
)
MAX_NAME: Final = 128
MAX_COMMENT: Final = 1_000


class ReviewRequired(Exception):
    """The author has to look at what the rule would have dismissed, and to send the preview's token with it."""

    def __init__(self, preview: SuppressionPreview) -> None:
        super().__init__("Review what the rule would have dismissed.")
        self.preview = preview


@dataclass(frozen=True)
class Review:
    """The content that a rule may dismiss, and from before when its author has seen what is known of it."""

    contents: frozenset[str]
    at: dt.datetime


@dataclass(frozen=True)
class SuppressionDraft:
    """A rule as it is in the panel. `reviews_again`: adds the content that the rule matched since its last review."""

    name: str
    conditions: Conditions
    environments: Sequence[int] = ()
    enabled: bool = True
    reason: str = "expected"
    comment: str = ""
    expires_at: dt.datetime | None = None
    covers_new_content: bool = False
    reviews_again: bool = False

    def check(self) -> None:
        """Raise Invalid with the field that is not valid."""
        check_plain("name", self.name)
        check_plain("comment", self.comment, several_lines=True)
        if not 1 <= len(self.name) <= MAX_NAME:
            raise Invalid(f"Enter a name of 1 to {MAX_NAME} characters.", "name")
        if self.reason not in REASONS:
            raise Invalid("Choose a reason.", "reason")
        if self.expires_at and self.expires_at <= timezone.now():
            raise Invalid("The rule must expire in the future.", "expires_at")
        self.check_conditions()

    def check_conditions(self) -> None:
        """Raise Invalid where the conditions cannot be applied."""
        if error := conditions_error(self.conditions):
            raise Invalid(error, "conditions")


def save(
    actor: User, draft: SuppressionDraft, pk: int | None = None, revision: int | None = None, reviewed: str = ""
) -> SuppressionRule:
    """Create a rule, or change rule `pk` if it is still at `revision`.

    `reviewed` is the token of the preview that the actor has seen. Raises Invalid, ChangeConflict, OutOfScope for a
    rule that covers more than the actor sees, and ReviewRequired for one that would have dismissed an attack, or alerts
    without naming their content, unless the actor has seen which.
    """
    draft.check()
    if not is_in_scope(actor, draft.environments, draft.conditions):
        raise Invalid(OUT_OF_SCOPE, "conditions")
    before = _own_rule(actor, SuppressionRule.objects.all(), pk, revision) if pk is not None else None
    reviewed_at = timezone.now()
    contents = _reviewed_contents(actor, draft, before, reviewed)
    review = None if contents is None else Review(contents, reviewed_at)
    try:
        return _save(actor, draft, pk, revision, review)
    except IntegrityError:
        raise Invalid("Another suppression rule has this name.", "name") from None


def _reviewed_contents(
    actor: User, draft: SuppressionDraft, before: SuppressionRule | None, reviewed: str
) -> frozenset[str] | None:
    """Return the content that the rule may dismiss; None: what it was, for a change that dismisses nothing else.

    A rule that is enabled again, or no longer expired, is reviewed: an attack may have come while it did not apply.
    Raises ReviewRequired.
    """
    is_same = before is not None and _coverage(before) == (
        list(draft.conditions),
        set(draft.environments),
        draft.covers_new_content,
    )
    learns = not is_same or draft.reviews_again
    is_revived = draft.enabled and before is not None and not before.is_in_force
    if not learns and not is_revived:
        return None
    preview = preview_suppression(
        actor, draft.conditions, draft.environments, covers_new_content=draft.covers_new_content, token=reviewed
    )
    if preview.needs_review and preview.token != reviewed:
        raise ReviewRequired(preview)
    # Content that was reviewed before may have its alert from before the preview's period.
    kept = set(before.contents.values_list("sha256", flat=True)) - preview.attacks if before and is_same else set()
    return (preview.reviewed_contents if learns else frozenset()) | kept


def _coverage(rule: SuppressionRule) -> tuple[Any, set[int], bool]:
    """Return what decides which alerts the rule dismisses."""
    return rule.conditions, {each.pk for each in rule.environments.all()}, rule.covers_new_content


@transaction.atomic(durable=True)
def _save(
    actor: User,
    draft: SuppressionDraft,
    pk: int | None,
    revision: int | None,
    review: Review | None,
) -> SuppressionRule:
    columns: dict[str, Any] = {
        "name": draft.name,
        "conditions": list(draft.conditions),
        "enabled": draft.enabled,
        "reason": draft.reason,
        "comment": draft.comment[:MAX_COMMENT],
        "expires_at": draft.expires_at,
        "covers_new_content": draft.covers_new_content,
        **({"reviewed_at": review.at} if review else {}),
    }
    before = None
    if pk is None:
        rule = SuppressionRule.objects.create(created_by=actor, **columns)
    else:
        rule = _own_rule(actor, SuppressionRule.objects.select_for_update(), pk, revision)
        before = as_json(rule)
        SuppressionRule.objects.filter(pk=pk).update(revision=F("revision") + 1, **columns)
        rule.refresh_from_db()
    rule.environments.set(Environment.objects.filter(pk__in=draft.environments))
    if review:
        rule.contents.all().delete()
        known = sorted(review.contents)
        SuppressedContent.objects.bulk_create(SuppressedContent(rule=rule, sha256=each) for each in known)
    verb = "changed" if before else "created"
    audit.record(actor, verb, "suppression rule", rule.pk, name=rule.name, before=before, after=as_json(rule))
    return rule


@transaction.atomic(durable=True)
def delete(actor: User, pk: int, revision: int) -> None:
    """Delete a rule. The alerts that it dismissed stay dismissed. Raises ChangeConflict and OutOfScope."""
    rule = _own_rule(actor, SuppressionRule.objects.select_for_update(), pk, revision)
    audit.record(actor, "deleted", "suppression rule", rule.pk, name=rule.name, before=as_json(rule))
    rule.delete()


def count_suppressed(rules: Sequence[int]) -> None:
    """Add one hit to a rule for each time its id is in `rules`."""
    for pk in sorted(set(rules)):  # in one order, so that two batches never deadlock
        SuppressionRule.objects.filter(pk=pk).update(hits=F("hits") + rules.count(pk))


def _own_rule(actor: User, rules: VisibleQuerySet, pk: int, revision: int | None) -> SuppressionRule:
    """Return the rule, still at `revision`. Raises ChangeConflict, and OutOfScope where it is not the actor's."""
    rule: SuppressionRule | None = rules.filter(pk=pk, revision=revision).first()
    seen = visible_rule(actor, pk) if rule else None
    if rule is None or seen is None:
        raise ChangeConflict("Someone else changed or deleted this rule. Review and try again.")
    if not seen.is_own:
        raise OutOfScope(NOT_OWN)
    return rule


def as_json(rule: SuppressionRule) -> dict[str, Any]:
    """Return the rule for the audit log."""
    return {
        "name": rule.name,
        "enabled": rule.enabled,
        "environments": [str(each) for each in rule.environments.all()],
        "conditions": rule.conditions,
        "reason": rule.reason,
        "covers_new_content": rule.covers_new_content,
        "contents": rule.contents.count(),
        "expires_at": rule.expires_at.isoformat() if rule.expires_at else None,
    }
