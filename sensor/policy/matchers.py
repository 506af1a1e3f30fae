"""Matchers, which find for one value of a property all rules whose condition on it holds.

A rule's second condition on the same property goes into a matcher of its own, so that within one matcher any value
that holds satisfies the rule's only condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sensor.names.images import compared_values, image_forms
from sensor.policy.bounded_cache import BoundedCache
from sensor.policy.decisions import FlatEvent
from sensor.policy.properties import BY_NAME, NAME_SEPARATOR
from sensor.policy.string_tables import RuleSet
from sensor.policy.value_index import Pattern, ValueIndex

SCOPES: Final = ("resource_scope", "process_scope")


class PropertyMatcher:
    """Matches one property exactly, letter case included. `has` are the rules with a condition in this matcher."""

    __slots__ = ("_cache", "_index", "_others", "has", "name")

    def __init__(self, name: str, patterns: list[Pattern], everything: RuleSet, entries: int) -> None:
        self.name = name
        self.has = _union(rules for _, _, rules in patterns)
        self._others = everything & ~self.has
        self._index = ValueIndex(patterns)
        self._cache: BoundedCache[RuleSet] = BoundedCache(entries)

    def passing(self, value: Any) -> RuleSet:
        """Return the rules whose condition holds for `value`, and those without one. None means missing."""
        if value is None:
            return self._others
        found = self._cache.get(value)
        if found is None:
            found = self._cache.put(value, self._look_up(value) | self._others)
        return found

    def _look_up(self, value: str) -> RuleSet:
        return self._index.matching(value)


class FoldedMatcher(PropertyMatcher):
    """Matches one string without letter case."""

    __slots__ = ()

    def _look_up(self, value: str) -> RuleSet:
        return self._index.matching(value.casefold())


class NamesMatcher(PropertyMatcher):
    """Matches several names, any of which may satisfy the condition."""

    __slots__ = ()

    def _look_up(self, value: str) -> RuleSet:
        return _union(map(self._index.matching, value.split(NAME_SEPARATOR)))


class LabelMatcher(FoldedMatcher):
    """Matches labels: each is a string `key=value`, and any one may satisfy the condition."""

    __slots__ = ()

    def passing(self, value: Any) -> RuleSet:
        found = self._others
        for label in value.items() if value else ():
            rules = self._cache.get(label)
            if rules is None:
                rules = self._cache.put(label, self._look_up(f"{label[0]}={label[1]}"))
            found |= rules
        return found


class ImageMatcher(PropertyMatcher):
    """Matches an image in all its forms: values with `@` against forms with the digest, others without."""

    __slots__ = ("_digests",)

    def __init__(self, name: str, patterns: list[Pattern], everything: RuleSet, entries: int) -> None:
        super().__init__(name, patterns, everything, entries)
        self._index = ValueIndex(pattern for pattern in patterns if "@" not in pattern[1])
        with_digest = [pattern for pattern in patterns if "@" in pattern[1]]
        self._digests = ValueIndex(with_digest) if with_digest else None

    def _look_up(self, value: str) -> RuleSet:
        names, digest = image_forms(value.casefold())
        forms = sorted({form for each in names for form in each}, key=len, reverse=True)
        found = self._index.matching_any(forms)
        if self._digests is not None and digest is not None:
            found |= self._digests.matching_any([f"{form}@{digest}" for form in forms])
        return found


class PolicyMatchers:
    """The matchers of a policy's normalised rules, and which of them hold each rule's conditions."""

    __slots__ = ("_keys", "_matchers", "_scopes")

    def __init__(self, rules: Sequence[Mapping[str, Any]], everything: RuleSet, entries: int) -> None:
        patterns: dict[tuple[int, str], list[Pattern]] = {}
        self._keys: list[list[tuple[int, str]]] = []
        for position, rule in enumerate(rules):
            keys: list[tuple[int, str]] = []
            for condition in rule_conditions(rule):
                name = condition["property"]
                key = (sum(other == name for _, other in keys), name)
                keys.append(key)
                patterns.setdefault(key, []).extend(_patterns(condition, 1 << position))
            self._keys.append(keys)
        self._scopes = [[scope for scope in SCOPES for _ in rule[scope]] for rule in rules]
        # First conditions first, and labels, the costliest, last: by then few candidates are left.
        in_order = sorted(patterns, key=lambda key: (key[0], BY_NAME[key[1]].form == "labels"))
        self._matchers = {key: _matcher_class(key[1])(key[1], patterns[key], everything, entries) for key in in_order}

    def select(self, names: Iterable[str]) -> list[PropertyMatcher]:
        """Return the matchers of these properties, the cheapest first."""
        wanted = frozenset(names)
        return [matcher for (_, name), matcher in self._matchers.items() if name in wanted]

    def failing(self, position: int, event: FlatEvent) -> tuple[str, str] | None:
        """Return scope and property of the first condition of the rule that does not hold; None if all do."""
        for key, scope in zip(self._keys[position], self._scopes[position], strict=True):
            matcher = self._matchers[key]
            if not matcher.passing(event.get(matcher.name)) >> position & 1:
                return scope, matcher.name
        return None


def rule_conditions(rule: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a normalised rule's conditions in the order in which they are tried."""
    return [condition for scope in SCOPES for condition in rule[scope]]


def folded_values(condition: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a condition's operators and strings as they are compared: folded, images as their forms are spelled.

    An image's value may become two, either of which satisfies the condition.
    """
    compared = BY_NAME[condition["property"]]
    values = [(each["operator"], each["value"]) for each in condition["any_of"]]
    if compared.folds_case:
        values = [(operator, string.casefold()) for operator, string in values]
    if compared.form == "image":
        values = [each for operator, string in values for each in compared_values(operator, string)]
    return values


def narrow(candidates: RuleSet, matchers: Iterable[PropertyMatcher], event: FlatEvent) -> RuleSet:
    """Return the candidates that pass every matcher."""
    for matcher in matchers:
        # A matcher without a condition of any candidate passes them all: skip its lookup.
        if candidates & matcher.has:
            candidates &= matcher.passing(event.get(matcher.name))
    return candidates


def _patterns(condition: Mapping[str, Any], rule: RuleSet) -> list[Pattern]:
    return [(operator, string, rule) for operator, string in folded_values(condition)]


def _matcher_class(name: str) -> Callable[[str, list[Pattern], RuleSet, int], PropertyMatcher]:
    compared = BY_NAME[name]
    if compared.form == "image":
        return ImageMatcher
    if compared.form == "labels":
        return LabelMatcher
    if compared.form == "names":
        return NamesMatcher
    return FoldedMatcher if compared.folds_case else PropertyMatcher


def _union(masks: Iterable[RuleSet]) -> RuleSet:
    union = 0
    for mask in masks:
        union |= mask
    return union
