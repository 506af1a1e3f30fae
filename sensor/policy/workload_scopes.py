"""The rules whose cloud and resource scope match a workload, whatever other rules decide above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sensor.policy.bounded_cache import CACHE_ENTRIES
from sensor.policy.decisions import FlatEvent
from sensor.policy.lookup_tables import CloudScopeTable
from sensor.policy.matchers import PolicyMatchers, narrow
from sensor.policy.properties import WORKLOAD_PROPERTIES
from sensor.policy.string_tables import RuleSet


class WorkloadScopes:
    """The scopes of normalised rules, enabled or not. Conditions on pods and processes are left out."""

    __slots__ = ("_clouds", "_matchers")

    def __init__(self, rules: Sequence[Mapping[str, Any]]) -> None:
        everything: Final = (1 << len(rules)) - 1
        self._clouds = CloudScopeTable(rules)
        self._matchers = PolicyMatchers(rules, everything, CACHE_ENTRIES).select(WORKLOAD_PROPERTIES)

    def matching(self, workload: FlatEvent) -> RuleSet:
        """Return the rules whose scope matches, by position."""
        in_cloud = self._clouds.matching(workload.get("provider"), workload.get("account"))
        return narrow(in_cloud, self._matchers, workload)
