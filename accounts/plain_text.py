"""Validators of what a person types: no character that a reader would not see, or that reorders what is read.

For Django's form fields and REST framework's serializers alike.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError

from sensor.names.visible_text import hidden_character


def hidden_character_error(text: str, *, several_lines: bool = False) -> str | None:
    """Return the sentence that names the first hidden character and its place; None without one."""
    found = hidden_character(text, several_lines=several_lines)
    return f"Character {found[0] + 1} is not allowed: {found[1]}." if found else None


def one_line(text: str) -> None:
    """Raise ValidationError for a hidden character, line breaks and tabs included."""
    _validate(hidden_character_error(text))


def several_lines(text: str) -> None:
    """Raise ValidationError for a hidden character; line breaks and tabs are allowed."""
    _validate(hidden_character_error(text, several_lines=True))


def _validate(error: str | None) -> None:
    if error:
        raise ValidationError(error, code="hidden_character")
