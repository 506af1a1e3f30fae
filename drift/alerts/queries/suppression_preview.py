"""The alerts that a suppression rule would have dismissed, and what its author has to look at before it is saved."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import msgspec
from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.suppression_match import Conditions, compile_suppression, named_contents, names_content
from drift.alerts.models import Alert, HashVerdict, ListedHash, Resolution
from drift.web.requests import bounded_int
from sensor import wire

PERIOD: Final = dt.timedelta(days=30)
MAX_ALERTS: Final = 10_000
"""Alerts that are evaluated, the newest: each costs the conversion of its stored event."""
MAX_EXAMPLES: Final = 5
MAX_ELSEWHERE: Final = 1_000
"""True positives of the same content that are looked at, the newest."""
MAX_NAMED: Final = 20
"""True positives that are named; the others are counted."""


@dataclass
class SuppressionPreview:
    """What a rule would have dismissed of the `evaluated` alerts, up to the alert `upto`.

    `examples` are the newest of them, `true_positives` those that a reviewer found to be attacks, `contents` and
    `attacks` the files of both by SHA-256; `unhashed` counts alerts whose file could not be hashed. `beyond` counts
    those that are not of the alert which the rule was created from. `elsewhere` are true positives of the same content
    that the rule does not match, `known_bad` the lists that have some of it.
    """

    names_content: bool
    covers_new_content: bool
    upto: int = 0
    evaluated: int = 0
    dismissed: int = 0
    unhashed: int = 0
    beyond: int = 0
    open: int = 0
    examples: list[Alert] = field(default_factory=list)
    true_positives: list[int] = field(default_factory=list)
    contents: set[str] = field(default_factory=set)
    attacks: set[str] = field(default_factory=set)
    elsewhere: list[int] = field(default_factory=list)
    known_bad: list[str] = field(default_factory=list)
    token: str = ""

    @property
    def has_attacks(self) -> bool:
        """Whether some of the content is known to be an attack: by a reviewer, here or elsewhere, or by a list."""
        return bool(self.true_positives or self.elsewhere or self.known_bad)

    @property
    def needs_review(self) -> bool:
        """Whether the author has to see this first: the rule dismisses an attack, or more than the content it names."""
        return self.has_attacks or (self.dismissed > 0 and not self.names_content)

    @property
    def reviewed_contents(self) -> frozenset[str]:
        """The content that the rule may dismiss once this was reviewed: never that of an attack."""
        return frozenset() if self.names_content else frozenset(self.contents - self.attacks)

    @property
    def named_true_positives(self) -> list[int]:
        return self.true_positives[:MAX_NAMED]

    @property
    def named_elsewhere(self) -> list[int]:
        return self.elsewhere[:MAX_NAMED]

    @property
    def more_elsewhere(self) -> int:
        return len(self.elsewhere) - len(self.named_elsewhere)

    @property
    def more_true_positives(self) -> int:
        return len(self.true_positives) - len(self.named_true_positives)


def preview_suppression(
    user: User,
    conditions: Conditions,
    environments: Collection[int],
    *,
    covers_new_content: bool = False,
    source: uuid.UUID | None = None,
    token: str = "",
) -> SuppressionPreview:
    """Evaluate valid conditions on the last PERIOD's alerts.

    `source` is the fingerprint of the alert that the rule was created from. With the `token` of an earlier preview only
    the alerts of that time: the token is the same again, unless the rule or what it matches has changed.
    """
    rule = compile_suppression(0, "", frozenset(environments), conditions, covers_new_content=covers_new_content)
    alerts = Alert.objects.visible_to(user).filter(created_at__gte=timezone.now() - PERIOD, sample=False)
    upto = bounded_int(token.partition(":")[0])
    if upto is not None:
        alerts = alerts.filter(pk__lte=upto)
    alerts = alerts.select_related("detail", "cluster", "pulse").order_by("-pk")[:MAX_ALERTS]
    preview = SuppressionPreview(names_content(conditions), covers_new_content, upto or 0)
    for alert in alerts.iterator(500):
        preview.evaluated += 1
        preview.upto = max(preview.upto, alert.pk)
        stored = alert.detail.event
        event = msgspec.convert(stored, wire.Event)
        flat_event = wire.flatten(event, stored["provider"], stored["account"], stored["cluster_name"])
        if rule.matches(alert.cluster.environment_id, flat_event, event):
            _count(preview, alert, event.process.sha256, source)
    _look_elsewhere(user, preview, conditions)
    preview.token = _token(preview, conditions, environments)
    return preview


def _look_elsewhere(user: User, preview: SuppressionPreview, conditions: Conditions) -> None:
    """Find what else is known of the content that the rule matched, or names: true positives and known-bad lists."""
    contents = list(preview.contents | named_contents(conditions))
    attacks = Alert.objects.visible_to(user).filter(
        verdict=Resolution.TRUE_POSITIVE, binary__sha256__in=contents, sample=False
    )
    if preview.upto:
        attacks = attacks.filter(pk__lte=preview.upto)
    found = attacks.exclude(pk__in=preview.true_positives).order_by("-pk").values_list("pk", "binary__sha256")
    listed = ListedHash.objects.filter(sha256__in=contents, hash_list__verdict=HashVerdict.BAD)
    bad = list(listed.order_by("hash_list__name").values_list("hash_list__name", "sha256"))
    elsewhere = list(found[:MAX_ELSEWHERE])
    preview.elsewhere = [pk for pk, _ in elsewhere]
    preview.known_bad = list(dict.fromkeys(name for name, _ in bad))
    preview.attacks |= {sha256 for _, sha256 in [*elsewhere, *bad]}


def _count(preview: SuppressionPreview, alert: Alert, sha256: str | None, source: uuid.UUID | None) -> None:
    preview.dismissed += 1
    preview.open += alert.is_open
    preview.beyond += source is not None and alert.fingerprint != source
    if len(preview.examples) < MAX_EXAMPLES:
        preview.examples.append(alert)
    if sha256:
        preview.contents |= {sha256}
    else:
        preview.unhashed += 1
    if alert.verdict == Resolution.TRUE_POSITIVE:
        preview.true_positives.append(alert.pk)
        preview.attacks |= {sha256} if sha256 else set()


def _token(preview: SuppressionPreview, conditions: Conditions, environments: Collection[int]) -> str:
    facts = [
        list(conditions),
        sorted(environments),
        preview.covers_new_content,
        sorted(preview.contents),
        preview.true_positives,
        preview.elsewhere,
        preview.known_bad,
        preview.unhashed,
    ]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return f"{preview.upto}:{digest[:32]}"
