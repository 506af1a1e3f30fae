"""What was hidden in a month: dismissed by rules and by people, and what of it was later seen elsewhere."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from accounts.models import User
from drift.alerts.models import ActivityKind, Alert, AlertActivity, Resolution, Sighting, Status

MAX_ALERTS: Final = 10_000
"""Dismissed alerts of a month that are counted, the latest."""
MAX_SEEN: Final = 50
"""Alerts that are shown with where their content was seen later."""
MAX_NAMED: Final = 3
"""Workloads that are named, of those where an alert's content was seen."""
MAX_SIGHTINGS: Final = 5_000


class DismissedAlert(NamedTuple):
    """What the report reads of an alert."""

    pk: int
    path: str
    verdict: str
    closed_at: dt.datetime
    rule: int | None
    rule_name: str
    sha256: str
    workload_scope: str


@dataclass
class SeenElsewhere:
    """A dismissed alert whose content ran in another workload afterwards, or was found to be an attack."""

    alert: DismissedAlert
    workloads: set[str] = field(default_factory=set)
    attacks: list[int] = field(default_factory=list)

    @property
    def named_workloads(self) -> list[str]:
        return sorted(self.workloads)[:MAX_NAMED]


@dataclass(frozen=True)
class HiddenAlerts:
    """The report of one month. `by_person` counts resolutions by the name of who dismissed."""

    total: int
    by_rule: list[tuple[int | None, str, int]]
    by_person: list[tuple[str, str, int]]
    seen_elsewhere: list[SeenElsewhere]
    more_seen: int

    @property
    def is_partial(self) -> bool:
        return self.total == MAX_ALERTS


def hidden_alerts(user: User, start: dt.date, end: dt.date) -> HiddenAlerts:
    """Return what was dismissed from `start` until before `end` (UTC) and still is, of what the user sees."""
    alerts = Alert.objects.visible_to(user).filter(
        status=Status.DISMISSED, closed_at__gte=_midnight(start), closed_at__lt=_midnight(end), sample=False
    )
    columns = (
        *("pk", "path", "verdict", "closed_at", "suppressed_by", "suppressed_by__name"),
        *("binary__sha256", "workload__scope"),
    )
    rows = alerts.order_by("-closed_at", "-pk").values_list(*columns)[:MAX_ALERTS]
    found = [
        DismissedAlert(pk, path, verdict, closed_at, rule, name or "", sha256, str(scope))
        for pk, path, verdict, closed_at, rule, name, sha256, scope in rows
    ]
    by_rule = Counter((each.rule, each.rule_name) for each in found if each.verdict == Resolution.SUPPRESSED)
    seen = _seen_elsewhere(user, found)
    return HiddenAlerts(
        total=len(found),
        by_rule=[(pk, name, count) for (pk, name), count in by_rule.most_common()],
        by_person=_by_person(user, [each for each in found if each.verdict != Resolution.SUPPRESSED]),
        seen_elsewhere=seen[:MAX_SEEN],
        more_seen=max(0, len(seen) - MAX_SEEN),
    )


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _by_person(user: User, alerts: Iterable[DismissedAlert]) -> list[tuple[str, str, int]]:
    verdicts = {each.pk: Resolution(each.verdict).label for each in alerts}
    changes = AlertActivity.objects.visible_to(user).filter(alert__in=list(verdicts), kind=ActivityKind.STATUS)
    latest = dict(changes.order_by("id").values_list("alert", "actor__name"))
    counts = Counter((name or "Driftwatch", verdicts[pk]) for pk, name in latest.items())
    return [(name, verdict, count) for (name, verdict), count in counts.most_common()]


def _seen_elsewhere(user: User, alerts: list[DismissedAlert]) -> list[SeenElsewhere]:
    """Return the alerts whose content was seen in another workload after they were closed; attacks first."""
    by_content: dict[str, list[SeenElsewhere]] = {}
    for each in alerts:
        if each.sha256:
            by_content.setdefault(each.sha256, []).append(SeenElsewhere(each))
    sightings = Sighting.objects.visible_to(user).filter(binary__sha256__in=list(by_content))
    rows = sightings.order_by("-first_seen_on", "-pk").select_related("workload", "binary")[:MAX_SIGHTINGS]
    for sighting in rows:
        for seen in by_content[sighting.binary.sha256]:
            is_other = str(sighting.workload.scope) != seen.alert.workload_scope
            if is_other and sighting.first_seen_on >= seen.alert.closed_at.date():
                seen.workloads |= {str(sighting.workload)}
    attacks = Alert.objects.visible_to(user).filter(
        verdict=Resolution.TRUE_POSITIVE, binary__sha256__in=list(by_content)
    )
    for sha256, attack in attacks.order_by("-pk").values_list("binary__sha256", "pk")[:MAX_SIGHTINGS]:
        for seen in by_content[sha256]:
            seen.attacks.append(attack)
    found = [seen for group in by_content.values() for seen in group if seen.workloads or seen.attacks]
    return sorted(found, key=lambda seen: (not seen.attacks, -seen.alert.pk))
