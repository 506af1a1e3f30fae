"""The errors of a policy document, each with the place where it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from sensor.policy.near_terms import did_you_mean, nearest_term

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_MEANT: Final = 10
DOCUMENT = "document"
"""The `rule` of an error that is in none."""


@dataclass(frozen=True, slots=True)
class DocumentError:
    """One error of a document.

    `rule` is the rule's name, or "rule N" (from 1) where it has no usable one, "default" or "document".
    `field` is the path inside it, e.g. `resource_scope[0].any_of[1].value`; empty for the rule or document itself.
    `index` is the rule's position from 0, None outside rules.
    """

    rule: str
    field: str
    message: str
    index: int | None = None

    def __str__(self) -> str:
        return ": ".join(part for part in (self.rule, self.field, self.message) if part)


class UnreadableError(ValueError):
    """Bytes that are not JSON, or not YAML; the message has the reason."""


class PolicyInvalid(ValueError):
    """A document with errors; `errors` has every one and is never empty."""

    def __init__(self, errors: list[DocumentError]) -> None:
        super().__init__("; ".join(str(error) for error in errors[:3]))
        self.errors = errors


@dataclass(slots=True)
class ErrorCollector:
    """Collects the errors of one rule, or of the document itself."""

    rule: str
    index: int | None = None
    errors: list[DocumentError] = field(default_factory=list)

    def add(self, where: str, message: str) -> None:
        """Record an error of the field `where`."""
        self.errors.append(DocumentError(self.rule, where, message, self.index))

    def is_object(
        self, value: object, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> TypeGuard[dict[str, object]]:
        """Return whether `value` is an object. Unknown and missing keys are recorded, but do not make it False."""
        if not isinstance(value, dict):
            self.add(where, "must be an object")
            return False
        for key in value:
            if key not in required and key not in optional:
                self.add(_join(where, key if isinstance(key, str) else repr(key)), "unknown key")
        for key in required:
            if key not in value:
                self.add(_join(where, key), "is required")
        return True

    def is_list(
        self, value: object, where: str, most: int | None = None, *, empty: bool = True
    ) -> TypeGuard[list[object]]:
        """Return whether `value` is a list to check further: neither too long nor, with `empty=False`, empty."""
        if not isinstance(value, list):
            self.add(where, "must be a list")
        elif not value and not empty:
            self.add(where, "must not be empty")
        elif most is not None and len(value) > most:
            self.add(where, f"has {len(value)} entries, at most {most} are allowed")
        else:
            return True
        return False

    def is_string(self, value: object, where: str, least: int, most: int) -> TypeGuard[str]:
        """Return whether `value` is a string of `least` to `most` characters which JSON and PostgreSQL can hold."""
        if not isinstance(value, str):
            self.add(where, "must be a string")
        elif not least <= len(value) <= most:
            self.add(where, f"must have {least} to {most} characters, has {len(value)}")
        elif "\0" in value:
            self.add(where, "must not contain NUL")
        elif not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            self.add(where, "must not contain half of a surrogate pair")
        else:
            return True
        return False

    def is_choice(self, value: object, where: str, choices: tuple[str, ...]) -> TypeGuard[str]:
        """Return whether `value` is one of `choices`."""
        if isinstance(value, str) and value in choices:
            return True
        self.add(where, f"must be one of {', '.join(choices)}{self.meant(nearest_term, value, choices)}")
        return False

    def meant(self, nearest: Callable[..., str], *arguments: Any) -> str:
        """Return the end of a message with what was probably meant; empty after the first few errors of a rule.

        To look for it takes longer than all other checks, and a document may have a hundred thousand errors.
        """
        return did_you_mean(nearest(*arguments)) if len(self.errors) < MAX_MEANT else ""


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
