"""The colleagues whom a user may assign alerts to and mention: those who see the same alerts."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from django.db.models import QuerySet
from django.db.models.functions import Lower

from accounts.models import User
from accounts.models.scopes import scopes_of
from accounts.roles import Role
from drift.alerts.models import Alert

MAX_CHOICES: Final = 200
"""Colleagues to choose from; a longer list is better searched."""


def assignable_users(viewer: User, alert: Alert | None = None) -> list[tuple[int, str]]:
    """Return (number, name) of the active users who may triage, and see the alert.

    Without an alert: those with a common place in their scope.
    """
    found = list(_triagers().order_by("name").values_list("pk", "name", "is_scoped"))
    scopes = scopes_of([(pk, is_scoped) for pk, _, is_scoped in found])
    if alert is not None:
        seen = [(pk, name) for pk, name, _ in found if scopes[pk].holds(alert.cluster_id, alert.namespace)]
    else:
        seen = [(pk, name) for pk, name, _ in found if viewer.scope.touches(scopes[pk])]
    return seen[:MAX_CHOICES]


def colleague(viewer: User, pk: int, chosen: Collection[int]) -> User | None:
    """Return an active user to assign the chosen alerts to.

    None where there is none, or for a viewer with a scope none who sees these alerts: they learn of no others.
    """
    user = User.objects.filter(pk=pk, is_active=True).first()
    if user is None or viewer.sees_whole_estate or user == viewer:
        return user
    alerts = list(Alert.objects.visible_to(viewer).filter(pk__in=chosen).only("cluster", "namespace"))
    return user if user.can_triage and alerts and not unseen_by(user, alerts) else None


def mentioned_users(addresses: Collection[str], alert: Alert) -> tuple[list[User], list[str]]:
    """Return the active users with these lower-case addresses who see the alert, and the addresses of no such user."""
    named = User.objects.annotate(address=Lower("email")).filter(address__in=addresses, is_active=True)
    found: list[User] = list(named.order_by("pk"))
    scopes = scopes_of([(user.pk, user.is_scoped) for user in found])
    seen = [user for user in found if scopes[user.pk].holds(alert.cluster_id, alert.namespace)]
    return seen, sorted(set(addresses) - {user.email.lower() for user in seen})


def unseen_by(user: User, alerts: Iterable[Alert]) -> list[int]:
    """Return the numbers of the alerts that the user does not see."""
    scope = user.scope
    return [alert.pk for alert in alerts if not scope.holds(alert.cluster_id, alert.namespace)]


def _triagers() -> QuerySet[User]:
    return User.objects.filter(is_active=True, role__in=[role for role in Role if role.includes(Role.OPERATOR)])
