"""Dismiss the open alerts that a new policy version ignores, in one bulk change."""

from __future__ import annotations

from itertools import islice
from typing import Final

from accounts.models import User
from drift.alerts.actions import triage
from drift.alerts.errors import Invalid
from drift.alerts.models import Alert, Resolution, Status
from drift.alerts.queries.ignored_alerts import newly_ignored_alerts
from drift.policy.models import PolicyVersion

MAX_DISMISSED: Final = triage.MAX_BULK
"""Alerts dismissed at once, the newest."""


def dismiss_ignored_alerts(actor: User, number: int) -> list[Alert]:
    """Dismiss, as expected, the open alerts that version `number` ignores and the version before it did not.

    Returns the dismissed alerts, at most MAX_DISMISSED, which `triage.undo` can restore. Raises Invalid where there
    is no such version or none before it; ChangeConflict where someone changed one of the alerts at the same moment.
    """
    versions = PolicyVersion.objects.filter(number__lte=number).order_by("-number")[:2]
    if len(versions) < 2 or versions[0].number != number:
        raise Invalid("This version does not exist, or it is the first.", "version")
    found = newly_ignored_alerts(actor, versions[1].number, versions[0].document)
    if not found.revisions:
        return []
    change = triage.StatusChange(Status.DISMISSED, Resolution.EXPECTED, f"Version {number} of the policy ignores this.")
    return triage.change_status(actor, dict(islice(found.revisions.items(), MAX_DISMISSED)), change)
