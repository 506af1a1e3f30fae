"""The flat event that a question is about, completed by what the estate knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts.models import User
from drift.alerts.models import Alert, Workload
from drift.fleet.models import Environment
from sensor.policy.flat_event import ALERT_ROWS, WORKLOAD_ROWS


def alert_facts(user: User, number: int) -> dict[str, Any] | None:
    """Return the flat event of an alert; None where the user sees none with this number."""
    row = Alert.objects.visible_to(user).filter(pk=number).values_list(*ALERT_ROWS.columns).first()
    return ALERT_ROWS.facts(row) if row else None


def completed(user: User, facts: Mapping[str, Any], place: str) -> tuple[dict[str, Any], str]:
    """Return the event with the environment `place` (`azure:ID`), or as a workload of the estate has it; and a note.

    Only what the event leaves open is added: it may be of a workload that was never seen.
    """
    known = {name: value for name, value in facts.items() if value not in (None, "", {})}
    if "provider" in known:
        return known, ""
    environment = visible_environment(user, place)
    if environment is not None:
        return {"provider": environment.provider, "account": environment.account, **known}, ""
    image, _, digest = str(known.get("image_name", "")).partition("@")
    seen = Workload.objects.visible_to(user).filter(namespace=known.get("namespace", ""))
    if image:
        seen = seen.filter(image_name__icontains=image)
    if digest:
        seen = seen.filter(image_digest=digest)
    row = seen.order_by("-last_seen_on", "-pk").values_list(*WORKLOAD_ROWS.columns).first()
    if row is None:
        return known, "No workload with this image and namespace was seen: choose an environment."
    found = {name: value for name, value in WORKLOAD_ROWS.facts(row).items() if value}
    return {**found, **known}, f"As the newest such workload, in cluster {found.get('cluster_name', '–')}."


def visible_environment(user: User, place: str) -> Environment | None:
    """Return the environment `azure:ID`, None where the user sees none of that name."""
    provider, _, account = place.partition(":")
    found: Environment | None = Environment.objects.visible_to(user).filter(provider=provider, account=account).first()
    return found
