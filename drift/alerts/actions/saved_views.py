"""Saved views: each user's own."""

from __future__ import annotations

from typing import Final

from django.db import transaction

from accounts.models import User
from drift.alerts.errors import Invalid, no_nul
from drift.alerts.models import SavedView

MAX_VIEWS: Final = 50


@transaction.atomic(durable=True)
def save_view(user: User, name: str, query: str) -> SavedView:
    """Keep a query string under a name; the same name again replaces it. Raises Invalid."""
    name, query = name.strip(), query.lstrip("?")
    no_nul("name", name)
    no_nul("query", query)
    if not 1 <= len(name) <= 64:
        raise Invalid("Give the view a name of 1 to 64 characters.", "name")
    if len(query) > 4_000:
        raise Invalid("These are too many filters to save.", "query")
    if SavedView.objects.filter(user=user).exclude(name=name).count() >= MAX_VIEWS:
        raise Invalid(f"At most {MAX_VIEWS} views can be saved. Delete one first.", "name")
    view, _ = SavedView.objects.update_or_create(user=user, name=name, defaults={"query": query})
    return view


@transaction.atomic(durable=True)
def delete_view(user: User, pk: int) -> None:
    """Forget one of the user's own views."""
    SavedView.objects.filter(user=user, pk=pk).delete()
