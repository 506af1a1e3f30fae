"""Proposals as their pages and their API read them."""

from __future__ import annotations

from typing import Final

from django.db.models import QuerySet

from accounts.models import User
from drift.policy.models import PolicyProposal

LARGEST: Final = 9_223_372_036_854_775_807
"""The column's greatest number; PostgreSQL refuses to compare with more."""


def proposals(user: User) -> QuerySet[PolicyProposal]:
    """Those that the user sees, newest first, with the people and versions that they name."""
    rows: QuerySet[PolicyProposal] = PolicyProposal.objects.visible_to(user)
    return rows.select_related("author", "taken_by", "decided_by", "version", "base").defer("version__document")


def listed(user: User) -> QuerySet[PolicyProposal]:
    """The same without any document, which may be large."""
    return proposals(user).defer("document", "base__document", "version__document")


def proposal(user: User, pk: int) -> PolicyProposal | None:
    """One of them; None where there is none such."""
    return proposals(user).filter(pk=pk).first() if pk <= LARGEST else None
