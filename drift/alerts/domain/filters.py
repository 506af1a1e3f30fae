"""The filters that pages, exports and the API apply to alerts, and the query string that they are written as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

from sensor.policy.properties import BY_NAME

TRIGRAM: Final = 3
"""Characters that a search string needs before the trigram index can find it."""
MAX_SEARCH: Final = 256
"""Characters of a search string."""
MAX_VALUE: Final = 1_024
"""Characters of a filter's value."""
MAX_VALUES: Final = 200
"""Values of one filter."""
ANY: Final = "any"
"""`status=any`: closed alerts too. Without a status, the open ones."""
NONE: Final = "none"
"""`assignee=none`, `incident=none`: alerts without one."""
OPEN_STATUSES: Final = ("active", "in_progress")
CLOSED_STATUSES: Final = ("resolved", "dismissed")
ALL_STATUSES: Final = (*OPEN_STATUSES, *CLOSED_STATUSES)
"""The values of models.Status; a test holds them equal."""
OF_CLOSED: Final = frozenset({"verdict", "suppression", "closed", "closed_by"})
"""Filters that only closed alerts pass. With one of them, and without a status, the closed ones are shown."""
SEVERITIES: Final = ("informational", "low", "medium", "high")
"""The values of models.Severity, in ascending order; a test holds them equal."""
OUTCOMES: Final = {
    "none": "Detected",
    "blocked": "Blocked",
    "not_blocked": "Not blocked",
    "would_block": "Would be blocked",
}
LABELS: Final[Mapping[str, str]] = {
    "environment": "Subscription",
    "status": "Status",
    "severity": "Severity",
    "priority": "Priority",
    "provider": "Cloud",
    "cluster": "Cluster",
    "namespace": "Namespace",
    "image": "Image",
    "rule": "Rule",
    "kind": "Drift kind",
    "path": "Path",
    "hash": "SHA-256",
    "writer": "Written by",
    "parent": "Parent process",
    "session": "Session",
    "writer_session": "Writer session",
    "writer_origin": "Writer origin",
    "node": "Node",
    "pod": "Pod",
    "container": "Container",
    "outcome": "Outcome",
    "verdict": "Resolution",
    "suppression": "Suppression rule",
    "closed": "Closed in",
    "closed_by": "Closed by",
    "assignee": "Assignee",
    "mentions": "Mentions",
    "incident": "Incident",
    "binary": "Binary",
    "sample": "Sample alerts",
    "sensor": "Sensor",
    "aside": "Set aside",
    "newer": "Newer than",
    "older": "Older than",
    "from": "Since",
    "until": "Until",
    "day": "Day",
    "hour": "Weekday and hour (UTC)",
}
"""Each filter's name in a query string, and its label on the page."""
VERDICTS: Final = (
    "true_positive", "benign_true_positive", "false_positive", "expected", "accepted_risk", "duplicate", "suppressed",
)  # fmt: skip
"""The values of models.Resolution; a test holds them equal."""
CHOICES: Final = {
    "status": ALL_STATUSES,
    "severity": SEVERITIES,
    "outcome": tuple(OUTCOMES),
    "verdict": VERDICTS,
    "aside": ("yes",),
    "session": (*BY_NAME["session"].values, NONE),
    "writer_session": (*BY_NAME["written_in_session"].values, NONE),
    "writer_origin": (*BY_NAME["writer_origin"].values, NONE),
}
"""The filters whose values are limited to a list."""


@dataclass(frozen=True)
class Filters:
    """A search string, and the values of each filter that is set."""

    q: str = ""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that are shown: by default the open ones, with a filter OF_CLOSED the closed ones."""
        default = CLOSED_STATUSES if OF_CLOSED & set(self.values) else OPEN_STATUSES
        chosen = self.values.get("status", default)
        return ALL_STATUSES if ANY in chosen else chosen

    @property
    def has_all_statuses(self) -> bool:
        return set(self.statuses) == set(ALL_STATUSES)

    @property
    def text(self) -> str:
        """The search string in lower case, as the searched column stores it."""
        return self.q.lower()

    @property
    def is_short(self) -> bool:
        """Whether the search string is too short for the trigram index."""
        return 0 < len(self.q) < TRIGRAM

    def without(self, name: str) -> Filters:
        """Return the filters with one removed; removing the status filter shows every status."""
        kept = {key: value for key, value in self.values.items() if key != name}
        return replace(self, values={**kept, "status": (ANY,)} if name == "status" else kept)

    def having(self, name: str, *values: str) -> Filters:
        """Return the filters with one set to exactly these values."""
        return replace(self, values={**self.values, name: values})

    def together_with(self, other: Filters) -> Filters:
        """Return the filters of both; of a filter that both set, any value may hold."""
        values = {
            name: tuple(dict.fromkeys([*self.values.get(name, ()), *many])) for name, many in other.values.items()
        }
        return Filters(" ".join(filter(None, (self.q, other.q)))[:MAX_SEARCH], {**self.values, **values})

    def pairs(self, leave_out: str = "") -> list[tuple[str, str]]:
        """Return the query string's pairs, for links and hidden inputs."""
        pairs = [("q", self.q)] if self.q and leave_out != "q" else []
        return pairs + [(name, one) for name, many in self.values.items() if name != leave_out for one in many]

    @property
    def query(self) -> str:
        return urlencode(self.pairs())
