"""The recipients of notices for everybody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.db.models import Q
from django.db.models.functions import Lower

from accounts.models import User
from drift.notify.models import Kind, MailSettings, Webhook

SUBSCRIPTIONS: Final = {
    Kind.ALERTS: "alerts",
    Kind.HEALTH: "health",
    Kind.HALTED: "health",
    Kind.AUDIT: "audit_heads",
}
"""The column of MailSettings and Webhook that subscribes to a kind."""
WHOLE: Final = Q(is_scoped=False) | Q(scope_groups__whole_estate=True)
"""Users who may read what is about the whole estate."""


def mail_addresses(kind: Kind, mail: MailSettings) -> list[str]:
    """Return the addresses that subscribe to `kind`, each once whatever its letter case.

    Not those of users with a scope or without an active account, even where the settings name them.
    """
    if not getattr(mail, SUBSCRIPTIONS[kind]):
        return []
    users = User.objects.filter(WHOLE, is_active=True, role__in=mail.roles).values_list("email", flat=True)
    return readers_addresses([*users, *mail.addresses])


def readers_addresses(addresses: Iterable[str]) -> list[str]:
    """Return the addresses, each once whatever its letter case, without those of users who may not read all of it.

    They have a scope, or are deactivated. Addresses of nobody here stay: they may be a list or a mailbox of a team.
    """
    by_key = {address.lower(): address for address in addresses}
    known = User.objects.annotate(address=Lower("email")).filter(address__in=by_key)
    limited = set(known.exclude(WHOLE & Q(is_active=True)).values_list("address", flat=True))
    return sorted(address for key, address in by_key.items() if key not in limited)


def subscribed_webhooks(kind: Kind) -> list[Webhook]:
    """Return the webhooks that subscribe to `kind`, oldest first."""
    return list(Webhook.objects.filter(**{SUBSCRIPTIONS[kind]: True}).order_by("pk"))
