"""Settings from the environment: strict, typed, and listed once so that docs come from the code.

A name that is set but cannot be read as its type stops the start with one clear line; a secret
may come from a file named by NAME_FILE, as container platforms hand them out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class Setting:
    """One row of the documented table. `default` is None where the setting is required."""

    name: str
    kind: str
    default: str | None
    help: str
    secret: bool = False


SETTINGS: dict[str, Setting] = {}
"""Every setting that was asked for, in order (docs/settings.md is made from this)."""


def _declare(setting: Setting) -> str | None:
    SETTINGS[setting.name] = setting
    value = os.environ.get(setting.name)
    file = os.environ.get(f"{setting.name}_FILE")
    if setting.secret and file:
        if value:
            raise ImproperlyConfigured(f"Both {setting.name} and {setting.name}_FILE are set; set one.")
        try:
            value = Path(file).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{setting.name}_FILE cannot be read: {error.strerror}") from None
    return value or setting.default


def text(name: str, default: str, help_: str) -> str:
    """A string."""
    return _declare(Setting(name, "text", default, help_)) or ""


def secret(name: str, help_: str) -> str:
    """A required string that may come from NAME_FILE; it has no default."""
    value = _declare(Setting(name, "text", None, help_, secret=True))
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set. `make run` and `make demo` set it for you; see docs/settings.md."
        )
    return value


def optional_secret(name: str, help_: str) -> str:
    """A string that may come from NAME_FILE; empty where it is not set."""
    return _declare(Setting(name, "text", "", help_, secret=True)) or ""


def boolean(name: str, *, default: bool, help_: str) -> bool:
    """true/1/yes/on or false/0/no/off; anything else is refused."""
    value = (_declare(Setting(name, "boolean", str(default).lower(), help_)) or "").lower()
    if value in {"true", "1", "yes", "on"}:
        return True
    if value in {"false", "0", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def integer(name: str, default: int, help_: str, *, minimum: int = 0) -> int:
    """A whole number not below `minimum`."""
    value = _declare(Setting(name, "integer", str(default), help_)) or ""
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
    if number < minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}, not {number}.")
    return number


def names(name: str, default: str, help_: str) -> list[str]:
    """A comma-separated list; empty parts are dropped."""
    value = _declare(Setting(name, "list", default, help_)) or ""
    return [part.strip() for part in value.split(",") if part.strip()]
