"""Saved views: each user's own."""

from __future__ import annotations

from typing import Final

from django.db import transaction

from accounts.models import User
from drift.alerts.errors import Invalid, check_no_nul, check_plain
from drift.alerts.models import SavedView

MAX_VIEWS: Final = 50
MAX_NAME: Final = 64
MAX_QUERY: Final = 4_000


@transaction.atomic(durable=True)
def save_view(user: User, name: str, query: str) -> SavedView:
    """Save a query string under a name, replacing the user's view of that name. Raises Invalid."""
    name, query = name.strip(), query.lstrip("?")
    check_plain("name", name)
    check_no_nul("query", query)
    if not 1 <= len(name) <= MAX_NAME:
        raise Invalid(f"Enter a name of 1 to {MAX_NAME} characters.", "name")
    if len(query) > MAX_QUERY:
        raise Invalid("Too many filters to save.", "query")
    if SavedView.objects.filter(user=user).exclude(name=name).count() >= MAX_VIEWS:
        raise Invalid(f"You can save up to {MAX_VIEWS} views. Delete one first.", "name")
    view, _ = SavedView.objects.update_or_create(user=user, name=name, defaults={"query": query})
    return view


@transaction.atomic(durable=True)
def delete_view(user: User, pk: int) -> None:
    """Delete one of the user's views, if it exists."""
    SavedView.objects.filter(user=user, pk=pk).delete()
