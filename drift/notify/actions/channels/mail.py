"""Email, through the mail server of EMAIL_HOST."""

from __future__ import annotations

import smtplib
from typing import Final

from django.conf import settings
from django.core.mail import EmailMessage

from drift.notify.models import AlertRoute, Kind, MailSettings, Notice, NoticeDelivery
from drift.notify.queries.recipients import mail_addresses, readers_addresses
from sensor.names.visible_text import visible_text

RETRIED: Final = (smtplib.SMTPException, OSError)


def new_deliveries(notice: Notice, mail: MailSettings) -> list[NoticeDelivery]:
    """Return a delivery per subscribed address; none without a mail server."""
    if not settings.EMAIL_HOST:
        return []
    return [NoticeDelivery(notice=notice, address=address) for address in mail_addresses(Kind(notice.kind), mail)]


def route_deliveries(notice: Notice, route: AlertRoute) -> list[NoticeDelivery]:
    """Return a delivery per address of the route; none without a mail server."""
    if not settings.EMAIL_HOST:
        return []
    return [NoticeDelivery(notice=notice, address=address) for address in readers_addresses(route.addresses)]


def delivers(delivery: NoticeDelivery) -> bool:
    """Return whether it goes to an email address."""
    return bool(delivery.address)


def send(delivery: NoticeDelivery) -> None:
    """Send one email: the notice's title as the subject, its text and link as the body."""
    notice = delivery.notice
    link = f"\n\n{settings.PUBLIC_URL}{notice.path}" if notice.path else ""
    # Titles hold names that others chose: a line break in one would add a header.
    subject = visible_text(" ".join(f"[Driftwatch] {notice.title}".split()))
    text = visible_text(notice.text, several_lines=True)
    EmailMessage(subject, f"{text}{link}\n", to=[delivery.address]).send()
