"""Who added an ephemeral container, however the request says so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.models import PodEntry
from drift.alerts.queries.pod_entries import entered_by
from tests.unit.drift.alerts.audit_lines import audit_event
from tests.unit.drift.alerts.conftest import Estate, event, now, stored_alert

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]


def test_an_ephemeral_container_is_of_who_added_it(sender: Callable[..., Any], estate: Estate, reader: Any) -> None:
    body = {"spec": {"ephemeralContainers": [{"name": "debugger-x", "image": "busybox"}]}}
    change = {"kind": "ephemeralcontainers", "verb": "patch", "stage": "ResponseComplete", "requestObject": body}
    sender(audit_event(**change, responseStatus={"code": 200}, at=now() - dt.timedelta(hours=1)))
    sent = event(process__provenance={"session": "workload"}, container__name="debugger-x")
    match = entered_by(reader, stored_alert(estate, sent))
    assert match is not None and match.words == "Likely alice@example.com, by kubectl debug from 10.0.0.7"


def added(*names: str, by: str, minutes: int = 9, body: Any = None) -> dict[str, Any]:
    """A request by which somebody sets the ephemeral containers of the pod, `minutes` ago."""
    pod = {"spec": {"ephemeralContainers": [{"name": each} for each in names]}} if body is None else body
    change = {"kind": "ephemeralcontainers", "verb": "update", "stage": "ResponseComplete", "requestObject": pod}
    at = now() - dt.timedelta(minutes=minutes)
    return audit_event(**change, user__username=by, responseStatus={"code": 200}, at=at)


def who_added(estate: Estate, reader: Any, container: str, session: str = "debug") -> str:
    sent = event(process__provenance={"session": session}, container__name=container)
    match = entered_by(reader, stored_alert(estate, sent))
    return match.words if match else "nobody"


@pytest.mark.parametrize("session", ["debug", "workload"])
def test_who_adds_a_container_before_an_old_one_is_named(
    sender: Callable[..., Any], estate: Estate, reader: Any, session: str
) -> None:
    sender(added("new", "old", by="mallory@example.com"))

    assert who_added(estate, reader, "new", session) == "Likely mallory@example.com, by kubectl debug from 10.0.0.7"


def test_a_request_whose_containers_are_unknown_may_have_added_any_and_is_named_as_possible(
    sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(added(by="mallory@example.com", body="not kept"))

    assert who_added(estate, reader, "new") == "Ambiguous: mallory@example.com, by kubectl debug from 10.0.0.7"
    assert who_added(estate, reader, "app", "workload") == "nobody"


def test_who_named_a_container_later_makes_it_ambiguous_and_hides_nobody(
    sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(added("new", by="mallory@example.com"), added("new", "other", by="bob@example.com", minutes=2))

    words = who_added(estate, reader, "new")
    assert words.startswith("Ambiguous: mallory@example.com") and "bob@example.com" in words


def test_a_request_of_a_portal_that_kept_one_container_still_counts(
    sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(added("new", by="alice@example.com"))
    PodEntry.objects.update(ephemeral_containers=[])

    assert who_added(estate, reader, "new").startswith("Likely alice@example.com")
