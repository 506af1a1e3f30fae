"""Rules that can never decide, because a rule above them always decides first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sensor.policy.document import normalise
from sensor.policy.globs import Glob, covers
from sensor.policy.implication import (
    MULTI_STRING_IMPLICATIONS,
    Condition,
    Value,
    can_all_hold,
    condition_implies,
    make_condition,
)
from sensor.policy.lookup_tables import entry_kind
from sensor.policy.matchers import folded_values, rule_conditions
from sensor.policy.string_tables import RuleSet
from sensor.policy.subsumption import SubsumptionIndex

Conditions = dict[str, list[Condition]]


def shadowed(document: object) -> dict[str, str]:
    """Map the ids of enabled rules that can never decide to the first enabled rule above that always decides.

    Sound, not complete: a rule that could decide some event is never in it, but two rules that only together cover a
    third are not found, nor rules that nothing can match (docs/policy-semantics.md#shadowed-rules). Raises
    PolicyInvalid.
    """
    rules = normalise(document)["rules"]
    scopes = [scope for rule in rules if rule["enabled"] and not (scope := _RuleScope(rule)).is_empty()]
    index = SubsumptionIndex([scope.conditions for scope in scopes])
    found: dict[str, str] = {}
    for position, scope in enumerate(scopes):
        above = index.candidates(scope.known) & ((1 << position) - 1)
        shadow = next((other for other in _select(scopes, above) if other.covers(scope)), None)
        if shadow is not None:
            found[scope.id] = shadow.id
    return found


def _select(scopes: Sequence[_RuleScope], positions: RuleSet) -> Iterable[_RuleScope]:
    """Yield the scopes at these positions (bits), the lowest first."""
    while positions:
        first = positions & -positions
        yield scopes[first.bit_length() - 1]
        positions ^= first


class _RuleScope:
    """The events that a rule decides: `conditions` by property, and with them what its allow list makes known."""

    __slots__ = (
        "_clouds",
        "_globs",
        "_hashes",
        "_names",
        "_only_listed",
        "_paths",
        "conditions",
        "id",
        "known",
    )

    def __init__(self, rule: Mapping[str, Any]) -> None:
        self.id: str = rule["id"]
        self._clouds = _clouds(rule["cloud_scope"])
        entries = rule["allow_list"]
        self._only_listed = bool(entries) and rule["unlisted"] == "next_rule"
        kinds = [entry_kind(entry) for entry in entries]
        self._hashes = {key for kind, key in kinds if kind == "digest"}
        self._paths = {key for kind, key in kinds if kind == "path"}
        self._globs = {key for kind, key in kinds if kind == "glob"}
        self._names = {key for kind, key in kinds if kind == "name"}
        self.conditions = _by_property(rule_conditions(rule))
        self.known = {name: [*conditions] for name, conditions in self.conditions.items()}
        for name, condition in self._known_by_list():
            self.known.setdefault(name, []).append(condition)

    def is_empty(self) -> bool:
        """Return whether no event can be in it, since conditions on one property exclude each other."""
        return not all(
            can_all_hold(conditions) for name, conditions in self.known.items() if name not in MULTI_STRING_IMPLICATIONS
        )

    def covers(self, other: _RuleScope) -> bool:
        """Return whether this rule decides every event that the other rule would decide."""
        if not _cloud_covers(self._clouds, other._clouds):
            return False
        if self._only_listed and not self._lists_every_process(other):
            return False
        return all(
            condition_implies(name, other.known.get(name, ()), condition)
            for name, conditions in self.conditions.items()
            for condition in conditions
        )

    def _known_by_list(self) -> Iterable[tuple[str, Condition]]:
        """Yield what holds for every process on the list, where the rule decides about listed processes alone."""
        if self._only_listed and not self._names:
            if not self._paths and not self._globs:
                yield "process_sha256", make_condition(_equals(self._hashes))
            if not self._hashes:
                yield "process_path", make_condition([*_equals(self._paths), *_matches(self._globs)])

    def _lists_every_process(self, other: _RuleScope) -> bool:
        """Return whether every process that the other rule decides about is on this rule's list."""
        if other._only_listed and self._lists_every_entry(other):
            return True
        if self._is_implied(other, "process_sha256", self._hashes):
            return True
        kinds = other.known.get("drift_kind", [])
        # A fileless process is compared by its content alone, so paths and names say nothing unless it is excluded.
        if not any(all(kind != ("equals", "fileless") for kind in condition) for condition in kinds):
            return False
        more: list[Value] = [*(("ends_with", f"/{name}") for name in sorted(self._names)), *_matches(self._globs)]
        return self._is_implied(other, "process_path", self._paths | self._names, more)

    def _lists_every_entry(self, other: _RuleScope) -> bool:
        named = {path for path in other._paths if path.rpartition("/")[2] in self._names or self._has_pattern_of(path)}
        if not all(any(covers(own, glob) for own in self._globs) for glob in other._globs):
            return False
        return other._hashes <= self._hashes and other._names <= self._names and other._paths - named <= self._paths

    def _has_pattern_of(self, path: str) -> bool:
        return any(Glob(glob).holds(path) for glob in self._globs)

    @staticmethod
    def _is_implied(other: _RuleScope, name: str, strings: Iterable[str], more: Iterable[Value] = ()) -> bool:
        wanted = make_condition([*_equals(strings), *more])
        return name in other.known and condition_implies(name, other.known[name], wanted)


def _clouds(entries: Iterable[Mapping[str, Any]]) -> dict[str, set[str] | None]:
    """Map each provider to its accounts, or to None for all of them."""
    clouds: dict[str, set[str] | None] = {}
    for entry in entries:
        accounts = clouds.setdefault(entry["provider"], set())
        if "accounts" not in entry:
            clouds[entry["provider"]] = None
        elif accounts is not None:
            accounts.update(entry["accounts"])
    return clouds


def _cloud_covers(clouds: dict[str, set[str] | None], others: dict[str, set[str] | None]) -> bool:
    for provider, accounts in others.items():
        own = clouds.get(provider, set())
        if own is not None and (accounts is None or not accounts <= own):
            return False
    return True


def _by_property(conditions: Iterable[Mapping[str, Any]]) -> Conditions:
    found: Conditions = {}
    for condition in conditions:
        found.setdefault(condition["property"], []).append(make_condition(folded_values(condition)))
    return found


def _matches(patterns: Iterable[str]) -> list[Value]:
    return [("matches", pattern) for pattern in sorted(patterns)]


def _equals(strings: Iterable[str]) -> list[Value]:
    return [("equals", string) for string in sorted(strings)]
