"""One property's conditions of all rules, answered at once for one value of the property.

A rule's second condition on the same property goes into a second slot, so that within a slot any value
that holds satisfies the rule's one condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sensor.names.images import image_forms
from sensor.policy.bounded_cache import Memo
from sensor.policy.decisions import Event
from sensor.policy.index import Pattern, Rules, TextIndex
from sensor.policy.properties import BY_NAME

SCOPES: Final = ("resource_scope", "process_scope")


class Slot:
    """The conditions of one property; `has` are the rules that have one here. Process properties: by exact letters."""

    __slots__ = ("_index", "_known", "_others", "has", "name")

    def __init__(self, name: str, patterns: list[Pattern], everything: Rules, entries: int) -> None:
        self.name = name
        self.has = _union(rules for _, _, rules in patterns)
        self._others = everything & ~self.has
        self._index = TextIndex(patterns)
        self._known: Memo[Rules] = Memo(entries)

    def passes(self, value: Any) -> Rules:
        """The rules whose condition here holds for `value`, and those without one. None stands for missing."""
        if value is None:
            return self._others
        known = self._known.get(value)
        if known is None:
            known = self._known.keep(value, self._look_up(value) | self._others)
        return known

    def _look_up(self, value: str) -> Rules:
        return self._index.hits(value)


class FoldedSlot(Slot):
    """A resource property of one text, compared without letter case."""

    __slots__ = ()

    def _look_up(self, value: str) -> Rules:
        return self._index.hits(value.casefold())


class LabelSlot(FoldedSlot):
    """pod_labels: each label is a text of its own, and any one may satisfy the condition."""

    __slots__ = ()

    def passes(self, value: Any) -> Rules:
        found = self._others
        for label in value.items() if value else ():
            known = self._known.get(label)
            if known is None:
                known = self._known.keep(label, self._look_up(f"{label[0]}={label[1]}"))
            found |= known
        return found


class ImageSlot(Slot):
    """image_name in all its forms; values with `@` see the forms with digest, the others those without."""

    __slots__ = ("_digests",)

    def __init__(self, name: str, patterns: list[Pattern], everything: Rules, entries: int) -> None:
        super().__init__(name, patterns, everything, entries)
        self._index = TextIndex(pattern for pattern in patterns if "@" not in pattern[1])
        with_digest = [pattern for pattern in patterns if "@" in pattern[1]]
        self._digests = TextIndex(with_digest) if with_digest else None

    def _look_up(self, value: str) -> Rules:
        hosted, digest = image_forms(value.casefold())
        index = self._index
        # Every form stands within the whole name; a bare form is its start, a form without host its end.
        name, bare = hosted[0]
        found = index.containing.hits(name) | index.ending.hits(name) | index.ending.hits(bare)
        for name, bare in hosted:
            found |= index.equal.get(name, 0) | index.equal.get(bare, 0) | index.starting.hits(name)
        if self._digests is not None and digest is not None:
            for name, bare in hosted:
                found |= self._digests.hits(f"{name}@{digest}") | self._digests.hits(f"{bare}@{digest}")
        return found


class Slots:
    """The slots of a policy's normalised rules, and which of them each rule's conditions are in."""

    __slots__ = ("_all", "_places", "_traces")

    def __init__(self, rules: Sequence[Mapping[str, Any]], everything: Rules, entries: int) -> None:
        patterns: dict[tuple[int, str], list[Pattern]] = {}
        self._places: list[list[tuple[int, str]]] = []
        for position, rule in enumerate(rules):
            places: list[tuple[int, str]] = []
            for condition in conditions_of(rule):
                name = condition["property"]
                place = (sum(other == name for _, other in places), name)
                places.append(place)
                patterns.setdefault(place, []).extend(_patterns(condition, 1 << position))
            self._places.append(places)
        self._traces = [_scope_of_each(rule) for rule in rules]
        self._all = {
            (rank, name): _slot_class(name)(name, patterns[rank, name], everything, entries)
            for rank, name in sorted(patterns, key=lambda place: (place[0], BY_NAME[place[1]].form == "labels"))
        }

    def of(self, names: Iterable[str]) -> list[Slot]:
        """The slots of these properties; first conditions first, labels (the dearest) after the other properties."""
        wanted = frozenset(names)
        return [slot for (_, name), slot in self._all.items() if name in wanted]

    def failing(self, position: int, event: Event) -> tuple[str, str] | None:
        """Scope and property of the first condition of the rule at `position` that does not hold, None if all do."""
        for place, scope in zip(self._places[position], self._traces[position], strict=True):
            slot = self._all[place]
            if not slot.passes(event.get(slot.name)) >> position & 1:
                return scope, slot.name
        return None


def conditions_of(rule: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A normalised rule's conditions in the order in which they are tried."""
    return [condition for scope in SCOPES for condition in rule[scope]]


def folded_values(condition: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A condition's operators and texts, folded where its property is compared so."""
    folded = BY_NAME[condition["property"]].folds_case
    return [
        (value["operator"], value["value"].casefold() if folded else value["value"]) for value in condition["any_of"]
    ]


def narrow(candidates: Rules, slots: Iterable[Slot], event: Event) -> Rules:
    """The candidates that pass every slot; a slot that no candidate has a condition in is not asked."""
    for slot in slots:
        if candidates & slot.has:
            candidates &= slot.passes(event.get(slot.name))
    return candidates


def _patterns(condition: Mapping[str, Any], rule: Rules) -> list[Pattern]:
    return [(operator, text, rule) for operator, text in folded_values(condition)]


def _scope_of_each(rule: Mapping[str, Any]) -> list[str]:
    return [scope for scope in SCOPES for _ in rule[scope]]


def _slot_class(name: str) -> Callable[[str, list[Pattern], Rules, int], Slot]:
    asked = BY_NAME[name]
    if asked.form == "image":
        return ImageSlot
    if asked.form == "labels":
        return LabelSlot
    return FoldedSlot if asked.folds_case else Slot


def _union(masks: Iterable[Rules]) -> Rules:
    union = 0
    for mask in masks:
        union |= mask
    return union
