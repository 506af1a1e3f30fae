"""Whether one value of a scope condition holds only where another one holds too.

A value is an operator and a string. The answers are exact for a property that is one string: if the answer is no,
some string satisfies only the one, because some character is in no value and can be put between any two pieces.
Of patterns (`matches`) a yes is never wrong, but some are missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from sensor.names.images import bare_name
from sensor.policy.globs import ANY, ONE, Glob, covers, literal_end, literal_start, literals
from sensor.policy.properties import BY_NAME, TABLE

Value = tuple[str, str]
"""Operator and string, folded where the property is compared without letter case."""
Condition = Mapping[Value, None]
"""A set of values, any of which may hold; a dict keeps their order, so that results never depend on hashes."""
Implication = Callable[[Value, Value], bool]
MAX_STEPS: Final = 5_000


def holds(value: Value, string: str) -> bool:
    """Return whether the value holds for a string."""
    operator, wanted = value
    if operator == "equals":
        return string == wanted
    if operator == "starts_with":
        return string.startswith(wanted)
    if operator == "ends_with":
        return string.endswith(wanted)
    return wanted in string if operator == "contains" else Glob(wanted).holds(string)


def implies(value: Value, other: Value) -> bool:
    """Return whether `other` holds for every string that `value` holds for."""
    operator, string = value
    if operator == "equals":
        return holds(other, string)
    if operator == "matches" or other[0] == "matches":
        return _pattern_implies(value, other)
    # The rest of such a string is unknown: only the same operator, or a substring, is certain.
    return other[0] in (operator, "contains") and holds(other, string)


def _pattern_implies(value: Value, other: Value) -> bool:
    """Return the same where one of the two is a pattern. True is never wrong, but some implications are missed."""
    operator, string = value
    if other[0] == "matches":
        before = ANY if operator in ("contains", "ends_with") else ""
        after = ANY if operator in ("contains", "starts_with") else ""
        return (not _has_wildcards(string) or operator == "matches") and covers(other[1], before + string + after)
    if not _has_wildcards(string):
        return holds(other, string)
    if other[0] == "starts_with":
        return literal_start(string).startswith(other[1])
    if other[0] == "ends_with":
        return literal_end(string).endswith(other[1])
    return other[0] == "contains" and any(other[1] in piece for piece in literals(string))


def _has_wildcards(string: str) -> bool:
    return ANY in string or ONE in string


def condition_implies(name: str, conditions: Sequence[Condition], other: Condition) -> bool:
    """Return whether `other` holds for every event for which all `conditions` on property `name` hold.

    Sound for every property: True is never wrong. Exact for properties that are one string, except for conditions
    that would take more than MAX_STEPS to compare.
    """
    implied = MULTI_STRING_IMPLICATIONS.get(name, implies)
    if any(all(_implies_any(value, other, implied) for value in one) for one in conditions):
        return True
    if name in MULTI_STRING_IMPLICATIONS or len(conditions) == 1:
        # Each condition may be satisfied by another of several strings, so together they imply nothing more.
        return False
    left = [make_condition(value for value in one if not _implies_any(value, other, implied)) for one in conditions]
    return not can_all_hold(left)


def make_condition(values: Iterable[Value]) -> Condition:
    """Return these values as a condition."""
    return dict.fromkeys(values)


def image_implies(value: Value, other: Value) -> bool:
    """Whether `other` holds where `value` does, when each may be satisfied by another form of an image reference.

    A form's bare name is a form too; whether a form has a host, and which, is unknown.
    """
    if "@" in value[1]:
        return _digest_implies(value, other)
    if "@" in other[1]:
        return False
    return implies(value, other) or any(implies(bare, other) for bare in _bare(value))


def _digest_implies(value: Value, other: Value) -> bool:
    """Return the same for a value with `@`. Where only its end is given, the start of the digest is unknown."""
    if "@" in other[1] and implies(value, other):
        return True
    operator, string = value
    if operator not in ("equals", "starts_with"):
        return False
    name, _, digest = string.partition("@")
    if "@" in other[1]:
        return implies((operator, f"{bare_name(name)}@{digest}"), other)
    return image_implies(("equals", name), other)


def _bare(value: Value) -> list[Value]:
    """Return what holds for the bare name of a form that `value` holds for."""
    operator, string = value
    if operator == "equals" or (operator == "ends_with" and "/" in string):
        return [(operator, bare_name(string))]
    return []


def label_implies(value: Value, other: Value) -> bool:
    """Return the same for values that another label each may satisfy; every label has an equals sign."""
    return other == ("contains", "=") or implies(value, other)


def implied_values(name: str, value: Value) -> list[Value] | None:
    """Return values that together imply, as single strings, all that `value` implies; None: cannot be listed."""
    if BY_NAME[name].form == "image":
        return None if "@" in value[1] else [value, *_bare(value)]
    return [value, ("contains", "=")] if BY_NAME[name].form == "labels" else [value]


def _implies_any(value: Value, others: Condition, implied: Implication) -> bool:
    if value in others:
        return True
    # A loop, not any(): this runs a million times for a large policy.
    for other in others:  # noqa: SIM110
        if implied(value, other):
            return True
    return False


def can_all_hold(conditions: Sequence[Condition], most: int = MAX_STEPS) -> bool:
    """Return whether some string satisfies all conditions, one value of each; True where `most` steps are too few."""
    steps = 0
    waiting: list[tuple[int, tuple[Value, ...]]] = [(0, ())]
    while waiting:
        steps += 1
        depth, chosen = waiting.pop()
        if depth == len(conditions) or steps > most:
            return True
        fitting = [value for value in conditions[depth] if all(_are_compatible(value, before) for before in chosen)]
        waiting += [(depth + 1, (*chosen, value)) for value in fitting]
    return False


def _are_compatible(one: Value, other: Value) -> bool:
    """Return whether some string satisfies both. Values that are compatible in pairs are all compatible."""
    if one[0] == "equals":
        return holds(other, one[1])
    if other[0] == "equals":
        return holds(one, other[1])
    if "matches" in (one[0], other[0]):
        return _patterns_may_meet(one, other)
    if one[0] == other[0] and one[0] != "contains":
        return holds(one, other[1]) or holds(other, one[1])
    return True


def _patterns_may_meet(one: Value, other: Value) -> bool:
    """Return whether some string may satisfy both, where one is a pattern: what both begin and end with decides."""
    starts, ends = [_known_start(one), _known_start(other)], [_known_end(one), _known_end(other)]
    return _is_one_start(*starts) and _is_one_start(*(end[::-1] for end in ends))


def _known_start(value: Value) -> str:
    return {"starts_with": value[1], "matches": literal_start(value[1])}.get(value[0], "")


def _known_end(value: Value) -> str:
    return {"ends_with": value[1], "matches": literal_end(value[1])}.get(value[0], "")


def _is_one_start(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


_BY_FORM: Final[dict[str, Implication]] = {"image": image_implies, "labels": label_implies, "names": implies}
MULTI_STRING_IMPLICATIONS: Final = {each.name: _BY_FORM[each.form] for each in TABLE if each.form in _BY_FORM}
"""Properties that are compared as several strings, any of which may satisfy a value."""
