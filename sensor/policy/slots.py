"""One property's conditions of all rules, answered at once for one value of the property.

A rule's second condition on the same property goes into a second slot, so that within a slot any value
that holds satisfies the rule's one condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from sensor.policy.events import image_forms
from sensor.policy.index import Pattern, Rules, TextIndex
from sensor.policy.vocabulary import PROPERTIES

CACHE_ENTRIES: Final = 4_096
"""Values remembered per slot; then it starts afresh."""
LONGEST_CACHED: Final = 512
"""Letters; a longer value (a made-up path, say) is looked up each time, so it cannot fill the memory."""


class Slot:
    """The conditions of one property; `has` are the rules that have one here."""

    __slots__ = ("_cache", "_entries", "_index", "_others", "has", "name")

    def __init__(self, name: str, patterns: list[Pattern], everything: Rules, entries: int) -> None:
        self.name = name
        self.has = _union(rules for _, _, rules in patterns)
        self._others = everything & ~self.has
        self._index = TextIndex(patterns)
        self._cache: dict[Any, Rules] = {}
        self._entries = entries

    def passes(self, value: Any) -> Rules:
        """The rules whose condition here holds for `value`, and those without one. None stands for missing."""
        if value is None:
            return self._others
        known = self._cache.get(value)
        return self._learn(value, value) if known is None else known

    def _learn(self, key: Any, value: str) -> Rules:
        found = self._look_up(value) | self._others
        if len(value) <= LONGEST_CACHED and self._entries:
            if len(self._cache) >= self._entries:
                self._cache.clear()
            self._cache[key] = found
        return found

    def _look_up(self, value: str) -> Rules:
        """Process properties: by exact letters."""
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
        if value is not None:
            for label in value.items():
                known = self._cache.get(label)
                found |= self._learn(label, f"{label[0]}={label[1]}") if known is None else known
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
        forms, digest = image_forms(value.casefold())
        # Every form stands within the first, the whole name.
        found = self._index.containing(forms[0])
        for form in forms:
            found |= self._index.equal(form) | self._index.starting(form) | self._index.ending(form)
        if self._digests is not None and digest is not None:
            for form in forms:
                found |= self._digests.hits(f"{form}@{digest}")
        return found


def build_slots(rules: list[Mapping[str, Any]], everything: Rules, entries: int) -> tuple[list[Slot], list[list[int]]]:
    """The slots of normalised rules, and for each rule the slot of each of its conditions, in document order.

    `entries` bounds each slot's cache; 0 means none. pod_labels and pod_name come last: they are dear, or new
    in almost every event, and often no candidate is left that asks for them.
    """
    patterns: dict[tuple[int, str], list[Pattern]] = {}
    wanted: list[list[tuple[int, str]]] = []
    for position, rule in enumerate(rules):
        keys: list[tuple[int, str]] = []
        for condition in (*rule["resource_scope"], *rule["process_scope"]):
            name = condition["property"]
            key = (sum(other == name for _, other in keys), name)
            keys.append(key)
            patterns.setdefault(key, []).extend(_patterns(condition, 1 << position))
        wanted.append(keys)
    order = sorted(patterns, key=lambda key: (key[0], key[1] == "pod_labels", key[1] == "pod_name"))
    slots = [_slot_class(name)(name, patterns[rank, name], everything, entries) for rank, name in order]
    places = {key: place for place, key in enumerate(order)}
    return slots, [[places[key] for key in keys] for keys in wanted]


def _patterns(condition: Mapping[str, Any], rule: Rules) -> list[Pattern]:
    folded = condition["property"] in PROPERTIES
    return [
        (value["operator"], value["value"].casefold() if folded else value["value"], rule)
        for value in condition["any_of"]
    ]


def _slot_class(name: str) -> Callable[[str, list[Pattern], Rules, int], Slot]:
    if name == "image_name":
        return ImageSlot
    if name == "pod_labels":
        return LabelSlot
    return FoldedSlot if name in PROPERTIES else Slot


def _union(masks: Iterable[Rules]) -> Rules:
    union = 0
    for mask in masks:
        union |= mask
    return union
