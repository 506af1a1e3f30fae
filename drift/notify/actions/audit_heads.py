"""Send the audit log's head to those who subscribe to it: kept there, it reveals what is cut off or rewritten later."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from accounts.actions.audit_seals import seal_entries
from accounts.queries.audit_verification import current_head
from drift import queue
from drift.notify.actions import channels
from drift.notify.actions.notices import AUDIT_PATH
from drift.notify.models import Kind, MailSettings, Notice, NoticeDelivery

INTERVAL: Final = dt.timedelta(hours=23, minutes=30)
"""A little less than a day: the task runs once an hour, and the time of day must not drift."""
LOCK: Final = "send the audit log's head"
TEXT: Final = """{head}

Keep this message where nobody who can write to the database can change or delete it. To verify the log against it:
manage.py audit verify --head {head}"""


def send_audit_head() -> Notice | None:
    """Queue the present head for all subscribers, once a day. Returns the notice; None where none is due or wanted."""
    seal_entries(everywhere=True)
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if Notice.objects.filter(kind=Kind.AUDIT, created_at__gt=timezone.now() - INTERVAL).exists():
            return None
        head = current_head()
        title = f"Audit log head: position {head.position}"
        notice = Notice(kind=Kind.AUDIT, title=title, text=TEXT.format(head=head), path=AUDIT_PATH)
        deliveries = channels.new_deliveries(notice, MailSettings.objects.get())
        if not deliveries:
            return None
        notice.save()
        NoticeDelivery.objects.bulk_create(deliveries)
        queue.enqueue("notify.send")
        return notice
