"""Checks of a deployment: `manage.py check --deploy`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.db import DatabaseError

from accounts.passwords import list_problem
from accounts.queries.proxy_warnings import proxy_warning
from accounts.queries.storage_warnings import role_problems

KEY_CHARACTERS: Final = 32
"""Of SECRET_KEY: 128 bits where they are hexadecimal digits."""
KEY_DISTINCT: Final = 8
"""Distinct characters; of keys of 32 random hexadecimal digits one in 28 million has fewer."""
_PLACEHOLDER: Final = re.compile(r"change.?me|replace.?me|insecure|secret.?key|your.?secret|example|password", re.I)


def secret_key(**_: Any) -> list[checks.CheckMessage]:
    """Report a SECRET_KEY that can be guessed: who knows it signs sessions, and opens what is stored encrypted."""
    hint = "`openssl rand -hex 32` makes one; docs/operators.md#changing-secret_key."
    found: list[checks.CheckMessage] = []
    if problem := _key_problem(settings.SECRET_KEY):
        found.append(checks.Error(f"SECRET_KEY {problem}.", hint=hint, id="portal.E002"))
    # A warning: who replaces such a key needs it until everything is encrypted under the new one.
    for problem in filter(None, map(_key_problem, settings.SECRET_KEY_FALLBACKS)):
        hint = "Sessions signed with it are still accepted: finish `manage.py rotate_secret_key`, then empty it."
        found.append(checks.Warning(f"SECRET_KEY_FALLBACK {problem}.", hint=hint, id="portal.W005"))
    return found


def _key_problem(key: str) -> str:
    if len(key) < KEY_CHARACTERS:
        return f"has {len(key)} characters, fewer than {KEY_CHARACTERS}"
    if len(set(key)) < KEY_DISTINCT:
        return f"has only {len(set(key))} distinct characters"
    return "looks like a placeholder" if _PLACEHOLDER.search(key) else ""


def trusted_proxies(**_: Any) -> list[checks.CheckMessage]:
    """Warn where the number of trusted proxies is or looks wrong."""
    hint = "docs/operators.md#on-one-machine"
    found: list[checks.CheckMessage] = []
    if settings.PUBLIC_URL.startswith("https://") and not settings.TRUSTED_PROXIES:
        text = "PUBLIC_URL is HTTPS, which a proxy serves, but TRUSTED_PROXIES is 0."
        found.append(checks.Warning(text, hint=hint, id="portal.W003"))
    if seen := proxy_warning():
        found.append(checks.Warning(seen, hint=hint, id="portal.W004"))
    return found


def breached_passwords(**_: Any) -> list[checks.CheckMessage]:
    """Report a list of breached passwords that cannot be used: without it nobody can choose a password."""
    problem = list_problem(Path(settings.BREACHED_PASSWORDS_FILE)) if settings.BREACHED_PASSWORDS_FILE else ""
    return [checks.Error(f"BREACHED_PASSWORDS_FILE: {problem}.", id="portal.E001")] if problem else []


def database_role(**_: Any) -> list[checks.CheckMessage]:
    """Warn where the portal's role may do what only the owner of the tables should."""
    try:
        problems = role_problems()
    except DatabaseError as error:
        return [checks.Warning(f"The database role was not checked: {str(error).splitlines()[0]}", id="portal.W002")]
    hint = "Use two roles: docs/operators.md#two-database-roles."
    return [checks.Warning(f"The portal's database role: {text}.", hint=hint, id="portal.W001") for text in problems]
