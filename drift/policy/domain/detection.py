"""What a policy leaves undetected, whatever its rules say (docs/policy-semantics.md#narrowed-detection)."""

from __future__ import annotations

from typing import Final

from drift.policy.domain.edits import Document, Rule
from sensor.policy.drift_kinds import DRIFT_KINDS

DETECT_NOTHING: Final = "detect nothing"
"""What a person types to save a policy that detects nothing."""


def unreported_kinds(document: Document) -> list[str]:
    """Return the labels of the kinds that are reported by default, and that this policy leaves out."""
    return [kind.label for kind in DRIFT_KINDS if kind.is_reported and kind.name not in document["detect"]]


def detects_nothing(document: Document) -> bool:
    """Return whether sensors would report no kind of drift at all."""
    return not document["detect"]


def alerts_on_nothing(document: Document) -> bool:
    """Return whether no drift raises an alert: every enabled rule ignores all that it decides."""
    enabled = [rule for rule in document["rules"] if rule["enabled"]]
    return document["default"]["action"] == "ignore" and not any(_raises_alerts(rule) for rule in enabled)


def is_confirmed(document: Document, typed: str) -> bool:
    """Return whether `typed` is what saving this policy needs: DETECT_NOTHING where it detects nothing."""
    return not detects_nothing(document) or DETECT_NOTHING in (each.strip() for each in typed.casefold().split(","))


def _raises_alerts(rule: Rule) -> bool:
    # Whatever its action, a rule with a list ignores what is on it, and alerts on others unless it passes them on.
    return bool(rule["unlisted"] != "next_rule" if rule["allow_list"] else rule["action"] != "ignore")
