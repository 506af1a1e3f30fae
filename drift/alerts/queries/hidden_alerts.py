"""What was hidden in a month: dismissed by rules and by people, and what of it was later seen elsewhere."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef

from accounts.models import User
from drift.alerts.domain.filters import NONE, Filters
from drift.alerts.models import ActivityKind, Alert, AlertActivity, Binary, Resolution, Sighting, Status
from drift.alerts.queries.activities import last_activities

MAX_ALERTS: Final = 10_000
"""Dismissed alerts of a month that are counted, the latest."""
MAX_SEEN: Final = 50
"""Alerts that are shown with where their content was seen later."""
MAX_NAMED: Final = 3
"""Workloads that are named, of those where an alert's content was seen."""
MAX_SIGHTINGS: Final = 50
MAX_ATTACKS: Final = 5
"""Sightings and true positives that are read of each content, the newest."""


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


class HiddenCount(NamedTuple):
    """How many alerts a rule or a person dismissed, and the query string that lists them.

    `who`: the name of the rule, "" of one that was deleted, or of the person. `resolution`: the person's.
    """

    who: str
    resolution: str
    alerts: int
    query: str


@dataclass(frozen=True)
class HiddenAlerts:
    """The report of one month. `query` lists all its alerts."""

    total: int
    query: str
    by_rule: list[HiddenCount]
    by_person: list[HiddenCount]
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
    month = Filters(values={"status": (Status.DISMISSED,), "closed": (f"{start:%Y-%m}",), "sample": ("no",)})
    by_rule = Counter((each.rule, each.rule_name) for each in found if each.verdict == Resolution.SUPPRESSED)
    seen = _seen_elsewhere(user, found)
    return HiddenAlerts(
        total=len(found),
        query=month.query,
        by_rule=[
            HiddenCount(name, Resolution.SUPPRESSED, count, month.having("suppression", str(pk or NONE)).query)
            for (pk, name), count in by_rule.most_common()
        ],
        by_person=_by_person(user, [each for each in found if each.verdict != Resolution.SUPPRESSED], month),
        seen_elsewhere=seen[:MAX_SEEN],
        more_seen=max(0, len(seen) - MAX_SEEN),
    )


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _by_person(user: User, alerts: Iterable[DismissedAlert], month: Filters) -> list[HiddenCount]:
    verdicts = {each.pk: each.verdict for each in alerts}
    changes = AlertActivity.objects.visible_to(user).filter(kind=ActivityKind.STATUS)
    latest = last_activities(changes, list(verdicts))
    people = {each.actor_id: each.actor.name for each in latest.values() if each.actor}
    closers = {pk: latest[pk].actor_id if pk in latest else None for pk in verdicts}
    counts = Counter((closers[pk], verdict) for pk, verdict in verdicts.items())
    return [
        HiddenCount(
            people[person] if person else "Driftwatch",
            Resolution(verdict).label,
            count,
            month.having("closed_by", str(person or NONE)).having("verdict", verdict).query,
        )
        for (person, verdict), count in counts.most_common()
    ]


def _seen_elsewhere(user: User, alerts: list[DismissedAlert]) -> list[SeenElsewhere]:
    """Return the alerts whose content was seen in another workload after they were closed; attacks first.

    Of each content the newest MAX_SIGHTINGS and MAX_ATTACKS count, so that one that is everywhere costs no more.
    """
    by_content: dict[str, list[SeenElsewhere]] = {}
    for each in alerts:
        if each.sha256:
            by_content.setdefault(each.sha256, []).append(SeenElsewhere(each))
    of_content = {"binary__sha256": OuterRef("sha256")}
    sightings = Sighting.objects.visible_to(user).filter(**of_content).order_by("-first_seen_on", "-pk")
    attacks = Alert.objects.visible_to(user).filter(**of_content, verdict=Resolution.TRUE_POSITIVE).order_by("-pk")
    contents = Binary.objects.filter(sha256__in=list(by_content)).order_by("sha256").distinct("sha256")
    rows = contents.values_list(
        "sha256",
        ArraySubquery(sightings.values("pk")[:MAX_SIGHTINGS]),
        ArraySubquery(attacks.values("pk")[:MAX_ATTACKS]),
    )
    found = [(sha256, numbers, attacked) for sha256, numbers, attacked in rows if numbers or attacked]
    named = {pk for _, numbers, _ in found for pk in numbers}
    seen_in = Sighting.objects.visible_to(user).filter(pk__in=named).select_related("workload").in_bulk()
    for sha256, numbers, attacked in found:
        for seen in by_content[sha256]:
            seen.attacks = attacked
            later = [seen_in[pk] for pk in numbers if seen_in[pk].first_seen_on >= seen.alert.closed_at.date()]
            others = [each.workload for each in later if str(each.workload.scope) != seen.alert.workload_scope]
            seen.workloads = {str(workload) for workload in others}
    elsewhere = [seen for group in by_content.values() for seen in group if seen.workloads or seen.attacks]
    return sorted(elsewhere, key=lambda seen: (not seen.attacks, -seen.alert.pk))
