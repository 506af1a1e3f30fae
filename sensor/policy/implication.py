"""When one value of a scope condition holds only where another one holds too.

A value is an operator and a text. What follows is exact for a property of one text: if it says no, there is a
text that tells the two apart, because some letter stands in no value and can be put between any two pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from sensor.names.images import bare_name
from sensor.policy.properties import BY_NAME, TABLE

Value = tuple[str, str]
"""Operator and text, folded where the property is compared so."""
Condition = Mapping[Value, None]
"""A set of values, any of which may hold; in their order, so that what is found never depends on hashes."""
Implication = Callable[[Value, Value], bool]
MOST_STEPS: Final = 5_000


def holds(value: Value, text: str) -> bool:
    """Whether the value holds for a text."""
    operator, wanted = value
    if operator == "equals":
        return text == wanted
    if operator == "starts_with":
        return text.startswith(wanted)
    if operator == "ends_with":
        return text.endswith(wanted)
    return wanted in text


def implies(value: Value, other: Value) -> bool:
    """Whether every text that `value` holds for is one that `other` holds for."""
    operator, text = value
    if operator == "equals":
        return holds(other, text)
    # What else stands in such a text is open: only the other's own kind, or a part of it, is sure.
    return other[0] in (operator, "contains") and holds(other, text)


def condition_implies(name: str, conditions: Sequence[Condition], other: Condition) -> bool:
    """Whether an event for which all `conditions` on property `name` hold is one for which `other` holds.

    Sound for every property: True is never wrong. Exact for properties of one text, but for conditions that
    would take more than MOST_STEPS to compare.
    """
    implied = SEVERAL_TEXTS.get(name, implies)
    if any(all(_implies_any(value, other, implied) for value in one) for one in conditions):
        return True
    if name in SEVERAL_TEXTS or len(conditions) == 1:
        # Of several texts each condition may be met by another one: what they say together is open.
        return False
    untold = [a_condition(value for value in one if not _implies_any(value, other, implied)) for one in conditions]
    return not can_all_hold(untold)


def a_condition(values: Iterable[Value]) -> Condition:
    """These values as a condition."""
    return dict.fromkeys(values)


def image_implies(value: Value, other: Value) -> bool:
    """The same for values that each may meet another form of an image reference.

    A form's bare name is a form too; whether a form has a host, and which, its text does not say.
    """
    if "@" in value[1]:
        return _digest_implies(value, other)
    if "@" in other[1]:
        return False
    return implies(value, other) or any(implies(bare, other) for bare in _bare(value))


def _digest_implies(value: Value, other: Value) -> bool:
    """A value with `@`; from its end alone it is not sure where the digest begins."""
    if "@" in other[1] and implies(value, other):
        return True
    operator, text = value
    if operator not in ("equals", "starts_with"):
        return False
    name, _, digest = text.partition("@")
    if "@" in other[1]:
        return implies((operator, f"{bare_name(name)}@{digest}"), other)
    return image_implies(("equals", name), other)


def _bare(value: Value) -> list[Value]:
    """What holds for the bare name of a form that `value` holds for."""
    operator, text = value
    if operator == "equals" or (operator == "ends_with" and "/" in text):
        return [(operator, bare_name(text))]
    return []


def label_implies(value: Value, other: Value) -> bool:
    """The same for values that each may meet another label; every label has an equals sign."""
    return other == ("contains", "=") or implies(value, other)


def stand_ins(name: str, value: Value) -> list[Value] | None:
    """Values of one text which imply, together, all that `value` implies on property `name`; None: not to be said."""
    if BY_NAME[name].form == "image":
        return None if "@" in value[1] else [value, *_bare(value)]
    return [value, ("contains", "=")] if BY_NAME[name].form == "labels" else [value]


def _implies_any(value: Value, others: Condition, implied: Implication) -> bool:
    if value in others:
        return True
    # A loop, for this is asked a million times for a large policy.
    for other in others:  # noqa: SIM110
        if implied(value, other):
            return True
    return False


def can_all_hold(conditions: Sequence[Condition]) -> bool:
    """Whether some text satisfies all conditions, one value of each; True where MOST_STEPS do not tell."""
    steps = 0
    waiting: list[tuple[int, tuple[Value, ...]]] = [(0, ())]
    while waiting:
        steps += 1
        depth, chosen = waiting.pop()
        if depth == len(conditions) or steps > MOST_STEPS:
            return True
        fitting = [value for value in conditions[depth] if all(_go_together(value, before) for before in chosen)]
        waiting += [(depth + 1, (*chosen, value)) for value in fitting]
    return False


def _go_together(one: Value, other: Value) -> bool:
    """Whether some text satisfies both. Of values that go together in pairs, all go together."""
    if one[0] == "equals":
        return holds(other, one[1])
    if other[0] == "equals":
        return holds(one, other[1])
    if one[0] == other[0] and one[0] != "contains":
        return holds(one, other[1]) or holds(other, one[1])
    return True


_OF_SEVERAL: Final[dict[str, Implication]] = {"image": image_implies, "labels": label_implies}
SEVERAL_TEXTS: Final = {each.name: _OF_SEVERAL[each.form] for each in TABLE if each.form in _OF_SEVERAL}
"""Properties that are compared as several texts, any of which may satisfy a value."""
