"""A finding of the lint: where, how certain, why, and what was probably meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sensor.policy.descriptions import OPERATOR_LABELS, PROPERTY_LABELS

Level = Literal["error", "warning"]
"""`error`: the value is impossible by its form, so nothing ever matches it. `warning`: nothing is likely to."""
Value = tuple[str, str]
"""An operator and a string as typed."""
NOTHING: Final[tuple[Value, ...]] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What to write instead of one value.

    Of a condition: `values` take its place, `more` are conditions of their own beside it, each with one value, and
    `name` is another property for the whole condition, where it is not empty. Of an allow list or a list of accounts:
    `entries` take its place.
    """

    values: tuple[Value, ...] = NOTHING
    more: tuple[Value, ...] = NOTHING
    name: str = ""
    entries: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Return it as a button says it: `Starts with “kube-”`."""
        prefix = f"{PROPERTY_LABELS[self.name]}: " if self.name else ""
        either = " or ".join(f"{OPERATOR_LABELS[operator]} “{string}”" for operator, string in self.values)
        both = [either, *(f"{OPERATOR_LABELS[operator]} “{string}”" for operator, string in self.more)]
        return prefix + (" and ".join(both) if self.values else ", ".join(self.entries))

    def as_json(self) -> dict[str, Any]:
        """Return it for the API."""
        if self.entries:
            return {"words": self.words, "entries": list(self.entries)}
        shown: dict[str, Any] = {"words": self.words, "any_of": _as_json(self.values)}
        if self.more:
            shown["and"] = _as_json(self.more)
        return shown | ({"property": self.name} if self.name else {})


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One finding. `rule`, `field` and `index` are those of a `DocumentError`."""

    rule: str
    field: str
    level: Level
    message: str
    suggestion: Suggestion | None = None
    index: int | None = None

    @property
    def line(self) -> str:
        """Return it as the command line prints it. All are warnings there: the document is valid."""
        meant = f" Did you mean {self.suggestion.words}?" if self.suggestion else ""
        return f"{self.rule}: {self.field}: warning: {self.message}{meant}"

    def as_json(self) -> dict[str, Any]:
        """Return it for the API."""
        return {
            "rule": self.rule,
            "index": self.index,
            "field": self.field,
            "level": self.level,
            "message": self.message,
            "suggestion": self.suggestion.as_json() if self.suggestion else None,
        }


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with one value, before its place is known."""

    level: Level
    message: str
    suggestion: Suggestion | None = field(default=None)


def _as_json(values: tuple[Value, ...]) -> list[dict[str, str]]:
    return [{"operator": operator, "value": string} for operator, string in values]
