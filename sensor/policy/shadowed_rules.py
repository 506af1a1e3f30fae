"""Rules that can never decide, because a rule above them always does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sensor.policy.document import normalise
from sensor.policy.implication import SEVERAL_TEXTS, Condition, Value, a_condition, can_all_hold, condition_implies
from sensor.policy.index import Rules
from sensor.policy.matchers import conditions_of, folded_values
from sensor.policy.subsumption import Wider
from sensor.policy.vocabulary import DIGEST_PREFIX

Conditions = dict[str, list[Condition]]


def shadowed(document: object) -> dict[str, str]:
    """Ids of enabled rules that can never decide → id of the first enabled rule above that always decides before.

    Sound: a rule that could decide some event is never in it. Two rules that only together take everything from a
    third are not looked for, nor rules that nothing can match. Raises PolicyInvalid.
    """
    rules = normalise(document)["rules"]
    scopes = [scope for rule in rules if rule["enabled"] and not (scope := _Scope(rule)).is_empty()]
    wider = Wider([scope.asks for scope in scopes])
    found: dict[str, str] = {}
    for place, scope in enumerate(scopes):
        above = wider.candidates(scope.known) & ((1 << place) - 1)
        shadow = next((other for other in _of(scopes, above) if other.covers(scope)), None)
        if shadow is not None:
            found[scope.id] = shadow.id
    return found


def _of(scopes: Sequence[_Scope], places: Rules) -> Iterable[_Scope]:
    """Those at these places (bits), first first."""
    while places:
        first = places & -places
        yield scopes[first.bit_length() - 1]
        places ^= first


class _Scope:
    """The events that a rule decides."""

    __slots__ = (
        "_clouds",
        "_hashes",
        "_names",
        "_only_listed",
        "_paths",
        "asks",
        "id",
        "known",
    )

    def __init__(self, rule: Mapping[str, Any]) -> None:
        self.id: str = rule["id"]
        self._clouds = _clouds(rule["cloud_scope"])
        entries = rule["allow_list"]
        self._only_listed = bool(entries) and rule["unlisted"] == "next_rule"
        self._hashes = {entry.removeprefix(DIGEST_PREFIX) for entry in entries if entry.startswith(DIGEST_PREFIX)}
        self._paths = {entry for entry in entries if entry.startswith("/")}
        self._names = {entry for entry in entries if not entry.startswith(("/", DIGEST_PREFIX))}
        self.asks = _by_property(conditions_of(rule))
        self.known = {name: [*conditions] for name, conditions in self.asks.items()}
        for name, condition in self._known_by_list():
            self.known.setdefault(name, []).append(condition)

    def is_empty(self) -> bool:
        """Whether no event can be in it: conditions on one property that exclude each other."""
        return not all(can_all_hold(conditions) for name, conditions in self.known.items() if name not in SEVERAL_TEXTS)

    def covers(self, other: _Scope) -> bool:
        """Whether every event that the other rule would decide is one that this rule decides."""
        if not _cloud_covers(self._clouds, other._clouds):
            return False
        if self._only_listed and not self._lists_all_of(other):
            return False
        return all(
            condition_implies(name, other.known.get(name, ()), condition)
            for name, conditions in self.asks.items()
            for condition in conditions
        )

    def _known_by_list(self) -> Iterable[tuple[str, Condition]]:
        """What is sure of a process that is on a list which alone lets the rule decide."""
        if self._only_listed and not self._names:
            if not self._paths:
                yield "process_sha256", a_condition(_equals(self._hashes))
            if not self._hashes:
                yield "process_path", a_condition(_equals(self._paths))

    def _lists_all_of(self, other: _Scope) -> bool:
        """Whether each process that the other rule decides about is on this rule's list."""
        if other._only_listed and self._lists_entries_of(other):
            return True
        if self._implied_by(other, "process_sha256", self._hashes):
            return True
        kinds = other.known.get("drift_kind", [])
        # Of a fileless process neither path nor name counts.
        if not any(all(kind != ("equals", "fileless") for kind in condition) for condition in kinds):
            return False
        by_name: list[Value] = [("ends_with", f"/{name}") for name in self._names]
        return self._implied_by(other, "process_path", self._paths | self._names, by_name)

    def _lists_entries_of(self, other: _Scope) -> bool:
        named = {path for path in other._paths if path.rpartition("/")[2] in self._names}
        return other._hashes <= self._hashes and other._names <= self._names and other._paths - named <= self._paths

    @staticmethod
    def _implied_by(other: _Scope, name: str, texts: Iterable[str], more: Iterable[Value] = ()) -> bool:
        wanted = a_condition([*_equals(texts), *more])
        return name in other.known and condition_implies(name, other.known[name], wanted)


def _clouds(entries: Iterable[Mapping[str, Any]]) -> dict[str, set[str] | None]:
    """Provider → its accounts, or None for all of them."""
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
        found.setdefault(condition["property"], []).append(a_condition(folded_values(condition)))
    return found


def _equals(texts: Iterable[str]) -> list[Value]:
    return [("equals", text) for text in sorted(texts)]
