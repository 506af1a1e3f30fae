"""What is known of files by their SHA-256: lists that have them, where they ran, and their open alerts."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Count, Max, Min

from accounts.models import User
from drift.alerts.models import Alert, HashVerdict, ListedHash, Sighting
from drift.alerts.models.alerts import IS_OPEN


@dataclass
class KnownFile:
    """One file, with the names of the lists that have it; workloads, days and alerts are those of the user's scope."""

    sha256: str
    good: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    workloads: int = 0
    first_seen_on: dt.date | None = None
    last_seen_on: dt.date | None = None
    open_alerts: int = 0


def look_up(user: User, hashes: Sequence[str]) -> list[KnownFile]:
    """Return the files in the order given, with three queries."""
    files = {each: KnownFile(each) for each in hashes}
    listed = ListedHash.objects.filter(sha256__in=hashes).order_by("hash_list__name")
    for sha256, name, verdict in listed.values_list("sha256", "hash_list__name", "hash_list__verdict"):
        (files[sha256].bad if verdict == HashVerdict.BAD else files[sha256].good).append(name)
    seen = Sighting.objects.visible_to(user).filter(binary__sha256__in=hashes).order_by().values("binary__sha256")
    for row in seen.annotate(
        workloads=Count("workload__scope", distinct=True), first=Min("first_seen_on"), last=Max("last_seen_on")
    ):
        found = files[row["binary__sha256"]]
        found.workloads, found.first_seen_on, found.last_seen_on = row["workloads"], row["first"], row["last"]
    alerts = Alert.objects.visible_to(user).filter(IS_OPEN, binary__sha256__in=hashes).order_by()
    counts: dict[str, int] = defaultdict(int)
    counts |= dict(alerts.values_list("binary__sha256").annotate(count=Count("pk")))
    for sha256, count in counts.items():
        files[sha256].open_alerts = count
    return list(files.values())
