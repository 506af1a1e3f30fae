"""Saved versions of the policy."""

from __future__ import annotations

from typing import Final

from django.db.models import QuerySet

from accounts.models import User
from drift.policy.models import PolicyVersion

MAX_NUMBER: Final = 2_147_483_647
"""The column's greatest number: PostgreSQL rejects a comparison with more."""


def latest_version() -> PolicyVersion:
    """Return the newest version. A migration makes version 1, so there always is one."""
    version: PolicyVersion = PolicyVersion.objects.order_by("-number")[0]
    return version


def latest_number() -> int:
    """Return the newest version's number without reading its document, which may be large."""
    number: int = PolicyVersion.objects.order_by("-number").values_list("number", flat=True)[0]
    return number


def visible_versions(user: User) -> QuerySet[PolicyVersion]:
    """Return the versions that the user may see, newest first, without their documents, which may be large."""
    rows: QuerySet[PolicyVersion] = PolicyVersion.objects.visible_to(user)
    return rows.select_related("author", "proposed_by").defer("document").order_by("-number")


def visible_version(user: User, number: int) -> PolicyVersion | None:
    """Return one version with its document; None where the user sees none with this number."""
    rows: QuerySet[PolicyVersion] = PolicyVersion.objects.visible_to(user)
    return rows.select_related("author", "proposed_by").filter(number=number).first()


def find_version(number: int) -> PolicyVersion | None:
    """Return the version with this number, None where there is none. Does not check permissions."""
    found: PolicyVersion | None = PolicyVersion.objects.filter(number=number).first()
    return found
