"""Change the routes of alerts: which alerts, as a query line, and who is notified of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Lower
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.notify.domain.messages import route_prefix
from drift.notify.errors import NameTaken, RouteChanged, RouteRejected
from drift.notify.models import AlertRoute, Kind, MailSettings, PendingNotice, Webhook

MAX_ROUTES: Final = 50


@transaction.atomic(durable=True)
def add_route(actor: User, *, name: str, query: str, webhooks: Iterable[Webhook], addresses: list[str]) -> AlertRoute:
    """Add a route. Raises NameTaken, RouteRejected."""
    _check_name(name, None)
    if AlertRoute.objects.count() >= MAX_ROUTES:
        raise RouteRejected(f"At most {MAX_ROUTES} routes are allowed.")
    row = AlertRoute.objects.create(name=name, query=query, addresses=addresses)
    row.webhooks.set(webhooks)
    audit.record(actor, "added", "alert route", row.pk, name=name, after=_facts(row))
    return row


@transaction.atomic(durable=True)
def change_route(
    actor: User, pk: int, revision: int, *, name: str, query: str, webhooks: Iterable[Webhook], addresses: list[str]
) -> AlertRoute:
    """Change a route as it was at `revision`. Raises NameTaken, RouteChanged.

    Alerts from before a new query are not notified of because of it.
    """
    _check_name(name, pk)
    row = AlertRoute.objects.select_for_update().filter(pk=pk, revision=revision).first()
    if row is None:
        raise RouteChanged
    before = {"name": row.name, **_facts(row)}
    if row.query != query:
        row.since = timezone.now()
    row.name, row.query, row.addresses = name, query, addresses
    row.revision += 1
    row.save()
    row.webhooks.set(webhooks)
    audit.record(actor, "changed", "alert route", pk, name=name, before=before, after={"name": name, **_facts(row)})
    return row


@transaction.atomic(durable=True)
def remove_route(actor: User, pk: int, revision: int) -> bool:
    """Remove a route as it was at `revision`, and what it has not sent yet. Return False if there is no such route.

    Raises RouteChanged.
    """
    row = AlertRoute.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return False
    if row.revision != revision:
        raise RouteChanged
    PendingNotice.objects.filter(kind=Kind.ROUTE, key__startswith=route_prefix(pk)).delete()
    audit.record(actor, "removed", "alert route", pk, name=row.name, before=_facts(row))
    row.delete()
    return True


def _check_name(name: str, own: int | None) -> None:
    # Serialises changes: of two at once the second compares its name after the first.
    MailSettings.objects.select_for_update().get()
    others = AlertRoute.objects.exclude(pk=own) if own else AlertRoute.objects.all()
    # As the constraint compares them: iexact compares capitals, and "İ" has another small letter.
    if others.alias(folded=Lower("name")).filter(folded=Lower(Value(name))).exists():
        raise NameTaken("A route with this name already exists.")


def _facts(row: AlertRoute) -> dict[str, Any]:
    webhooks = sorted(row.webhooks.values_list("name", flat=True))
    return {"query": row.query, "webhooks": webhooks, "addresses": row.addresses}
