"""The recipients of notices for everybody."""

from __future__ import annotations

from django.db.models import Q

from accounts.models import User
from drift.notify.models import Kind, MailSettings, Webhook


def mail_addresses(kind: Kind, mail: MailSettings) -> list[str]:
    """Return the addresses that subscribe to `kind`, each once whatever its letter case."""
    if not (mail.alerts if kind == Kind.ALERTS else mail.health):
        return []
    users = User.objects.filter(is_active=True, role__in=mail.roles).values_list("email", flat=True)
    return sorted({address.lower(): address for address in [*users, *mail.addresses]}.values())


def subscribed_webhooks(kind: Kind) -> list[Webhook]:
    """Return the webhooks that subscribe to `kind`, oldest first."""
    return list(Webhook.objects.filter(Q(alerts=True) if kind == Kind.ALERTS else Q(health=True)).order_by("pk"))
