"""The filters that pages, exports and the API apply to alerts, and the query string that they are written as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlencode

TRIGRAM: Final = 3
"""Characters that a search string needs before the trigram index can find it."""
ANY: Final = "any"
"""`status=any`: closed alerts too. Without a status, the open ones."""
NONE: Final = "none"
"""`assignee=none`, `incident=none`: alerts without one."""
OPEN_STATUSES: Final = ("active", "in_progress")
ALL_STATUSES: Final = (*OPEN_STATUSES, "resolved", "dismissed")
"""The values of models.Status; a test holds them equal."""
OUTCOMES: Final = {"none": "Detected", "blocked": "Blocked", "not_blocked": "Not blocked"}
LABELS: Final[Mapping[str, str]] = {
    "environment": "Subscription",
    "status": "Status",
    "severity": "Severity",
    "provider": "Cloud",
    "cluster": "Cluster",
    "namespace": "Namespace",
    "image": "Image",
    "rule": "Rule",
    "kind": "Drift kind",
    "outcome": "Outcome",
    "assignee": "Assignee",
    "mentions": "Mentions",
    "incident": "Incident",
    "binary": "Binary",
    "sample": "Sample alerts",
    "sensor": "Sensor",
    "aside": "Set aside",
    "from": "Since",
    "day": "Day",
    "hour": "Weekday and hour (UTC)",
}
"""Each filter's name in a query string, and its label on the page."""
CHOICES: Final = {"status": ALL_STATUSES, "severity": ("high",), "outcome": tuple(OUTCOMES), "aside": ("yes",)}
"""The filters whose values are limited to a list."""


@dataclass(frozen=True)
class Filters:
    """A search string, and the values of each filter that is set."""

    q: str = ""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that are shown: by default the open ones."""
        chosen = self.values.get("status", OPEN_STATUSES)
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

    def pairs(self, leave_out: str = "") -> list[tuple[str, str]]:
        """Return the query string's pairs, for links and hidden inputs."""
        pairs = [("q", self.q)] if self.q and leave_out != "q" else []
        return pairs + [(name, one) for name, many in self.values.items() if name != leave_out for one in many]

    @property
    def query(self) -> str:
        return urlencode(self.pairs())
