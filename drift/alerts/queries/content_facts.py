"""What the estate knows of files' contents: where they ran, what reviewers and lists say (docs/priority.md#signals)."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from accounts.prepared_rows import prepared_rows
from drift.alerts.domain.content_signals import HARMLESS, ContentFacts, other_name
from drift.alerts.models import HashVerdict

MAX_SIGHTINGS: Final = 300
"""Sightings of a content that are read, so that one in a million containers costs as much as a rare one."""
KNOWN: Final = """
WITH content AS (SELECT sha256 FROM unnest(%s::text[]) AS content (sha256))
SELECT 'seen' AS what, content.sha256, workload.cluster_id, workload.namespace, workload.scope,
       min(seen.first_seen_on) AS day, NULL::text AS verdict, NULL::bigint AS alert,
       array_agg(DISTINCT seen.name)::text[] AS names
FROM content
CROSS JOIN LATERAL (
    SELECT workload_id, sighting.first_seen_on, file.name FROM alerts_binary AS file
    JOIN alerts_sighting AS sighting ON sighting.binary_id = file.id
    WHERE file.sha256 = content.sha256 LIMIT %s
) AS seen
JOIN alerts_workload AS workload ON workload.id = seen.workload_id
GROUP BY content.sha256, workload.cluster_id, workload.namespace, workload.scope
UNION ALL
SELECT 'judged', content.sha256, alert.cluster_id, alert.namespace, NULL, NULL, alert.verdict, alert.id, NULL
FROM content
JOIN alerts_binary AS file ON file.sha256 = content.sha256
CROSS JOIN LATERAL (
    SELECT id, cluster_id, namespace, verdict, set_aside_at, sample FROM alerts_alert
    WHERE binary_id = file.id ORDER BY first_seen DESC LIMIT %s
) AS alert
WHERE alert.verdict = ANY(%s::text[]) AND alert.set_aside_at IS NULL AND NOT alert.sample
UNION ALL
SELECT 'listed', content.sha256, NULL, NULL, NULL, NULL, list.verdict, NULL, ARRAY[list.name]::text[]
FROM content
JOIN alerts_listedhash AS listed ON listed.sha256 = content.sha256
JOIN alerts_hashlist AS list ON list.id = listed.hash_list_id
ORDER BY alert DESC, names
"""
"""What ran where, what reviewers and what lists say: one statement, because every batch that opens an alert has it."""
JUDGED: Final = [*sorted(HARMLESS), "true_positive"]
Place = tuple[int, str]
"""Cluster and namespace."""


class Sighted(NamedTuple):
    """That a workload ran a content: since which day, and all the names that it has there."""

    place: Place
    scope: uuid.UUID
    day: dt.date
    names: list[str]


class PlacedContent(NamedTuple):
    """A file's content in a workload, and its name: `scope` is the workload's, "" the content without a hash."""

    sha256: str
    cluster_id: int
    namespace: str
    scope: uuid.UUID
    name: str


@dataclass
class ContentKnowledge:
    """What is known of some contents; of others it answers that nothing is."""

    sightings: dict[str, list[Sighted]] = field(default_factory=lambda: defaultdict(list))
    verdicts: dict[str, list[tuple[Place, str, int]]] = field(default_factory=lambda: defaultdict(list))
    good: dict[str, str] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)

    def of_estate(self, content: PlacedContent) -> ContentFacts:
        """Return what the whole estate knows."""
        return self._facts(content, None)

    def of_place(self, content: PlacedContent) -> ContentFacts:
        """Return what the content's own namespace, in its own cluster, knows."""
        return self._facts(content, (content.cluster_id, content.namespace))

    def _facts(self, content: PlacedContent, place: Place | None) -> ContentFacts:
        seen = [each for each in self.sightings.get(content.sha256, ()) if place in (None, each.place)]
        return ContentFacts(
            workloads=len({each.scope for each in seen} - {content.scope}),
            first_seen_on=min((each.day for each in seen), default=None),
            known_as=other_name(
                content.name, {name for each in seen if each.scope != content.scope for name in each.names}
            ),
            verdicts=tuple(
                (verdict, alert) for at, verdict, alert in self.verdicts.get(content.sha256, ()) if place in (None, at)
            ),
        )


def content_knowledge(contents: Iterable[PlacedContent]) -> ContentKnowledge:
    """Return what is known of these contents, with one query."""
    hashes = sorted({each.sha256 for each in contents} - {""})
    known = ContentKnowledge()
    if not hashes:
        return known
    rows = prepared_rows(KNOWN, [hashes, MAX_SIGHTINGS, MAX_SIGHTINGS, JUDGED])
    for what, sha256, cluster, namespace, scope, first, verdict, alert, names in rows:
        if what == "seen":
            known.sightings[sha256].append(Sighted((cluster, namespace), scope, first, names))
        elif what == "judged":
            known.verdicts[sha256].append(((cluster, namespace), verdict, alert))
        else:
            (known.bad if verdict == HashVerdict.BAD else known.good).setdefault(sha256, names[0])
    return known
