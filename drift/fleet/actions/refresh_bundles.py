"""Date every bundle anew once a day: a sensor that is kept on an old one notices it (docs/delivery.md#expiry)."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import transaction
from django.utils import timezone

from drift.fleet.models import Bundle, FleetState
from drift.fleet.queries.bundles import next_bundle_date
from drift.policy.models import PolicyVersion

REFRESHED_EVERY: Final = dt.timedelta(days=1)
KEPT: Final = dt.timedelta(days=35)
"""How long a bundle is remembered: by its ETag the portal knows which one a sensor acknowledges."""


@transaction.atomic(durable=True)
def refresh_bundles() -> bool:
    """Date the bundles anew where the last time is a day ago; return whether it did. Sensors fetch within a minute."""
    # Locked: a switch of blocking or of keys at the same moment must not get an earlier date than this one.
    state: FleetState = FleetState.objects.select_for_update().get()
    if state.refreshed_at > timezone.now() - REFRESHED_EVERY:
        return False
    newest = PolicyVersion.objects.order_by("-number").first()
    state.refreshed_at = next_bundle_date(state, newest)
    state.save(update_fields=["refreshed_at"])
    return True


def delete_old_bundles() -> int:
    """Delete bundles that no sensor was given for KEPT; one that is needed again is made again. Returns how many."""
    deleted: int = Bundle.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
    return deleted
