"""Mail to a real server over the network: what arrives, and what happens while the server is unavailable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from drift.notify.actions import deliveries, notices
from drift.notify.actions.gather import gather
from drift.notify.models import Kind, NoticeDelivery, NoticeState, PendingNotice
from tests.mail_server import MailServer

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Iterator[MailServer]:
    one = MailServer(tmp_path / "mail")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", one.port, False
    yield one
    one.stop()


def test_a_message_arrives_as_it_was_written(server: MailServer, owner: Any, settings: Any) -> None:
    server.start()
    settings.PUBLIC_URL = "https://drift.example.com"
    title = "Führt aus: /tmp/ärger-" + "x" * 200
    notices.notify_subscribers(Kind.ALERTS, [PendingNotice(key="one", title=title, path="/alerts/7/")])
    gather()
    deliveries.send_due()

    (message,) = server.messages()
    assert (message["To"], message["From"]) == (owner.email, settings.DEFAULT_FROM_EMAIL)
    assert message["Subject"] == "[Driftwatch] 1 new High alert"
    lines = message.get_content().splitlines()
    assert (lines[0], lines[-1]) == (f"{title} (× 1)", "https://drift.example.com/alerts/7/")
    assert NoticeDelivery.objects.get().state == NoticeState.SENT


def test_messages_arrive_once_an_unavailable_server_is_back(server: MailServer, owner: Any) -> None:
    deliveries.send_test(owner, None)
    deliveries.send_due()
    waiting = NoticeDelivery.objects.get()
    assert (waiting.state, waiting.error) == (NoticeState.WAITING, "ConnectionRefusedError")

    server.start()
    NoticeDelivery.objects.update(next_at=timezone.now())
    deliveries.send_due()

    assert [message["Subject"] for message in server.messages()] == ["[Driftwatch] This is a test"]
    assert NoticeDelivery.objects.get().state == NoticeState.SENT
