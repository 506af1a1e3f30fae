"""Checks of a deployment: `manage.py check --deploy`."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.db import DatabaseError

from portal.database_grants import role_problems


def database_role(**_: Any) -> list[checks.CheckMessage]:
    """Warn where the portal's role may do what only the owner of the tables should."""
    try:
        problems = role_problems()
    except DatabaseError as error:
        return [checks.Warning(f"The database role was not checked: {str(error).splitlines()[0]}", id="portal.W002")]
    hint = "Use two roles: docs/operators.md#two-database-roles."
    return [checks.Warning(f"The portal's database role: {text}.", hint=hint, id="portal.W001") for text in problems]
