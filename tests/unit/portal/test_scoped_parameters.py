"""What a request names of the rest of the estate is not there: neither its response nor its statements differ.

test_scopes_everywhere.py requests every URL; here are names and numbers of what is out of scope in filters,
completions, fields and bodies, parts of pages, and a token that was narrowed. That the same statements are sent leaves
no difference in time by which a user could tell that something exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ScopeEntry, User
from accounts.roles import Role
from drift.alerts.domain.filters import LABELS
from drift.alerts.domain.suppression_match import PROPERTIES
from sensor.policy import RESOURCE_PROPERTIES
from tests.unit.drift.alerts.conftest import _fresh_memories as _fresh_memories  # noqa: PLC0414 - a fixture
from tests.unit.portal.access_requests import new_token_of
from tests.unit.portal.planted_estate import (
    FOREIGN_ID,
    FOREIGN_SENSOR,
    MARKER,
    NEW_ID,
    _digest,
    number_rows_from,
    planted_rows,
)
from tests.unit.portal.test_scopes_everywhere import UUID, Estate, at_one_moment, body, statements, undone, walked

pytestmark = [pytest.mark.services, pytest.mark.django_db]

NAMES: Final = {
    "environment": f"{MARKER}-environment",
    "cluster": f"{MARKER}-cluster",
    "namespace": f"{MARKER}-namespace",
    "image": f"{MARKER}/image:1",
    "path": f"/{MARKER}/common",
    "hash": _digest(f"{MARKER} 0"),
    "node": f"{MARKER}-node",
    "pod": f"{MARKER}-pod",
    "container": f"{MARKER}-container",
    "suppression": f"{MARKER}-suppression",
    "closed_by": f"{MARKER}@example.com",
    "assignee": f"{MARKER}@example.com",
    "sensor": str(FOREIGN_SENSOR),
    "incident": str(FOREIGN_ID),
    "binary": str(FOREIGN_ID),
}
"""By filter, what is out of scope."""
Sent = tuple[str, str, Any]
"""Method, address, and what is sent."""


def fragments() -> Iterator[Sent]:
    for name, arguments in walked("GET"):
        # What health measures changes from second to second; the walk of every URL requests it too.
        if not arguments and name != "health:page":
            yield "GET", reverse(name), None


def filters(view: str) -> Iterator[Sent]:
    for name, value in NAMES.items():
        yield "GET", f"{reverse(view)}?{urlencode({name: value, 'status': 'any'})}", None
        yield "GET", f"{reverse(view)}?{urlencode({'query': f'{name}:{value} status:any'})}", None


def suggestions() -> Iterator[Sent]:
    for name in LABELS:
        line = urlencode({"line": f"{name}:{MARKER[:4]}"})
        yield "GET", f"{reverse('alerts:completions')}?{line}", None
    for name in RESOURCE_PROPERTIES:
        typed = urlencode({"property": name, "typed": MARKER[:4]})
        yield "GET", f"{reverse('alerts:values')}?{typed}", None


def forms() -> Iterator[Sent]:
    pasted = {"namespace": NAMES["namespace"], "process_path": NAMES["path"]}
    for event in (str(FOREIGN_ID), json.dumps(pasted), json.dumps({**pasted, "image_name": MARKER})):
        for place in ("", f"azure:{MARKER}-account"):
            yield "POST", reverse("alerts:why"), {"event": event, "place": place}
    yield "POST", reverse("alerts:hash-look-up"), {"sums": NAMES["hash"]}
    for name in PROPERTIES:
        fields = {"reason": "expected", f"operator-{name}": "contains", f"value-{name}": MARKER[:5]}
        yield "POST", reverse("alerts:suppression-simulate"), {**fields, "environment": [str(FOREIGN_ID)]}
    for name in RESOURCE_PROPERTIES:
        fields = {"name": "typed", "action": "ignore", "scope_description": "here", "enabled": "on", "scope": "azure"}
        fields |= {"resource_scope.0.property": name, "resource_scope.0.0.operator": "contains"}
        fields |= {"resource_scope.0.0.value": MARKER}
        yield "POST", reverse("alerts:decided-by-rule"), fields


def calls() -> Iterator[Sent]:
    yield from filters("alerts-api:alerts")
    for name, arguments in walked("GET"):
        if reverse(name, kwargs=arguments).startswith("/api/") and not arguments:
            for query in ("", "limit=1", "size=1", f"after={FOREIGN_ID - 1}", f"environment={FOREIGN_ID}"):
                yield "GET", f"{reverse(name)}?{query}", None
    yield "POST", reverse("alerts-api:known-files-look-up"), {"sums": [NAMES["hash"]]}
    for alerts in ({str(FOREIGN_ID): 1}, {str(FOREIGN_ID): 9}):
        yield "POST", reverse("alerts-api:status"), {"alerts": alerts, "status": "in_progress"}
    for name in ("revoke", "quarantine", "release"):
        yield "POST", reverse(f"fleet-api:sensor-{name}", args=[FOREIGN_SENSOR]), {}


def send(client: Client, sent: Sent) -> tuple[int, bytes, int]:
    """Return status, content and the number of statements; nothing is stored."""
    method, url, data = sent
    headers = {} if url.startswith("/api/") else {"HX-Request": "true"}
    with undone(), statements() as seen:
        if method == "GET":
            response = client.get(url, headers=headers)
        elif url.startswith("/api/"):
            response = client.post(url, data, content_type="application/json")
        else:
            response = client.post(url, data, headers=headers)
        return response.status_code, UUID.sub(b"", body(response)), len(seen)


@at_one_moment()
def differences(estate: Estate, client: Client, requests: list[Sent]) -> list[str]:
    """Send the requests before and after the rest is planted; return those whose responses or statements differ."""
    number_rows_from(NEW_ID)
    before = [send(client, each) for each in requests]
    estate.plant_the_rest()
    number_rows_from(NEW_ID)
    rows = planted_rows()
    after = [send(client, each) for each in requests]
    assert planted_rows() == rows
    assert [status for status, *_ in after if status >= 500] == []
    pairs = zip(requests, before, after, strict=True)
    return [f"{each}: {old[0]}, {old[2]} statements; then {new[0]}, {new[2]}" for each, old, new in pairs if old != new]


def test_names_of_the_rest_in_filters_forms_and_parts_of_pages_change_nothing(queued: list[Any]) -> None:
    estate = Estate("namespace of cluster")
    requests = [*fragments(), *filters("alerts:list"), *suggestions(), *forms()]
    found = differences(estate, estate.client, requests)
    assert not found, "\n".join(found)


def test_an_owner_s_narrowed_token_finds_nothing_of_the_rest(queued: list[Any]) -> None:
    estate = Estate("namespace anywhere")
    token = new_token_of(User.objects.create_user("narrowed@example.com", "N", Role.OWNER, "x"), is_scoped=True)
    ScopeEntry.objects.create(token=token, namespace=estate.viewer.scope_entries.get().namespace)
    client = Client(headers={"Authorization": f"Bearer {token.secret}"}, raise_request_exception=False)
    found = differences(estate, client, list(calls()))
    assert not found, "\n".join(found)
