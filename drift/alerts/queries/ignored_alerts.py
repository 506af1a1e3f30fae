"""Which open alerts a change of the policy silences: it would have ignored what they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from accounts.models import User
from drift.alerts.models import Alert
from drift.alerts.models.alerts import IS_OPEN
from drift.alerts.queries.compiled_policies import compiled
from sensor.policy import Decision, Policy, compile_policy
from sensor.policy.flat_event import ALERT_ROWS

LOOKED_AT: Final = 10_000
"""Open alerts that are asked about, the newest."""
EXAMPLES: Final = 5
STRANGER: Final = "identity_incomplete"
"""The reason of what a sensor decides by itself: no policy would decide otherwise."""
Facts = Mapping[str, Any]
Says = Callable[[Facts], Decision]


@dataclass
class Silenced:
    """Open alerts that would be ignored: ids → revisions, newest first, of `looked_at` in all."""

    revisions: dict[int, int] = field(default_factory=dict)
    looked_at: int = 0

    @property
    def count(self) -> int:
        return len(self.revisions)

    @property
    def is_partial(self) -> bool:
        """Whether there may be more open alerts than were looked at."""
        return self.looked_at == LOOKED_AT

    def examples(self, user: User) -> list[Alert]:
        """A few of them, newest first."""
        rows = Alert.objects.visible_to(user).filter(pk__in=list(self.revisions)[:EXAMPLES])
        return list(rows.select_related("cluster").order_by("-first_seen", "-pk"))


def silenced(user: User, number: int, document: Mapping[str, Any], rule: str | None = None) -> Silenced:
    """The open alerts that version `number` does not ignore and `document` does; with `rule`, by that rule alone."""
    before, after = compiled(number).policy, compile_policy(document)
    found = Silenced()
    for pk, revision, facts in _open_alerts(user):
        found.looked_at += 1
        if _is_silenced(before, after, facts, rule):
            found.revisions[pk] = revision
    return found


def _is_silenced(before: Policy, after: Policy, facts: Facts, rule: str | None) -> bool:
    decision = after.decide(facts)
    if decision.action != "ignore" or rule not in (None, decision.rule):
        return False
    return before.decide(facts).action != "ignore"


def _open_alerts(user: User) -> Iterator[tuple[int, int, Facts]]:
    """Id, revision and what a policy looks at, as when the alert began; newest first. An empty text is not known."""
    alerts = Alert.objects.visible_to(user).filter(IS_OPEN, sample=False).exclude(reason=STRANGER)
    rows = alerts.order_by("-first_seen", "-pk").values_list("pk", "revision", *ALERT_ROWS.columns)[:LOOKED_AT]
    for pk, revision, *values in rows.iterator(2_000):
        yield pk, revision, ALERT_ROWS.facts(values)
