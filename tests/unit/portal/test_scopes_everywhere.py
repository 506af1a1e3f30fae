"""Nothing out of a user's scope reaches them, at any URL, by any method, with any argument.

Every URL is requested before and after the rest of the estate is planted: the responses are the same, so neither a name
nor a number of it was in them. A new URL is covered without being named here.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

import pytest
from django.db import connection, transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ScopeEntry, ScopeGroup, User
from accounts.roles import Role
from drift.alerts.queries.alert_groups import GROUPINGS
from drift.alerts.queries.value_suggestions import SOURCES
from drift.health.actions import dead_parts, portal_checks
from portal.access import TABLE, Open
from tests.unit.drift.alerts.conftest import _fresh_memories, make_estate  # noqa: F401 - a fixture
from tests.unit.portal.planted_estate import (
    FOREIGN_ID,
    FOREIGN_SENSOR,
    MARKER,
    NEW_ID,
    OWN_ID,
    Place,
    number_rows_from,
    plant_alerts,
    plant_cluster,
    planted_rows,
    stranger,
)
from tests.unit.portal.test_access import URLS

pytestmark = [pytest.mark.services, pytest.mark.django_db]

OWN = "ownplace"
VIEWERS: Final = ("environment", "namespace of cluster", "namespace anywhere")
NOT_WALKED: Final = (
    "account_login",
    "accounts:sign-out",
    "accounts:confirm-passkey",
    "accounts:session",
    "accounts:email",
    "mfa_",
    "openid",
)
"""The user's own sign-in: it has no rows of the estate, and random challenges in every response."""
INGESTING: Final = {"alerts:samples"}
"""Reads what a sensor's events read, of a sensor in a cluster that is wholly in scope."""
MASKED: Final = (
    re.compile(rb'name="csrfmiddlewaretoken" value="[^"]+"'),
    re.compile(rb'name="csrf-token" content="[^"]+"'),
    re.compile(rb'"X-CSRFToken": "[^"]+"'),
    re.compile(rb'data-idle="\d+" data-end="\d+"'),
    re.compile(rb"\d+(?:\xc2\xa0|&nbsp;| )(?:second|minute|hour)s?"),
    re.compile(rb'report of <time datetime="[^"]+">[^<]+</time>'),
)
"""What differs between two responses to the same request."""
CHANGING: Final = {"Content-Length", "Expires", "X-Request-ID"}
Response = tuple[int, bytes]
"""Status and body."""


def walked(method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (view name, arguments that fit its path) of every URL that an Operator may call with this method."""
    for name, arguments in URLS:
        who = TABLE[name].required(method)
        if not name.startswith(NOT_WALKED) and who is not None and who is not Open.SENSOR:
            yield name, arguments


UUID: Final = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FIELDS: Final[dict[str, Any]] = {
    "alert": [f"{OWN_ID}:1", f"{FOREIGN_ID}:2"],
    "rule": f"{FOREIGN_ID}",
    "revision": "1",
    "status": "resolved",
    "verdict": "true_positive",
    "assignee": f"{FOREIGN_ID}",
    "environment": f"{FOREIGN_ID}",
    "name": "a name",
    "query": f"cluster={FOREIGN_ID}",
    "text": "a comment",
    "reason": "expected",
    "value-process_path": "/a",
    "version": "101",
}


class Estate:
    """The user's part of the estate, and then the rest of it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        number_rows_from(OWN_ID)
        make_estate()
        self.viewer = User.objects.create_user("viewer@example.com", "Viewer", Role.OPERATOR, "x")
        self.own = plant_cluster(OWN)
        self._give(kind)
        plant_alerts(self.own, f"{OWN}-namespace", OWN, [self.viewer, self.viewer])
        self.foreign: list[Place] = []
        self.client = Client()
        self.client.force_login(self.viewer)
        self.client.raise_request_exception = False
        self.client.get(reverse("fleet-api:public-keys"))  # makes the first key

    def _give(self, kind: str) -> None:
        self.viewer.is_scoped = True
        self.viewer.save()
        entry: dict[str, Any] = {"namespace": f"{OWN}-namespace"} if kind.startswith("namespace") else {}
        if kind.endswith("environment"):
            entry["environment"] = self.own.environment
        elif kind.endswith("cluster"):
            entry["cluster"] = self.own.cluster
        # One kind has its part by a group: a team's scope is met everywhere too.
        if kind == "namespace of cluster":
            entry["group"] = ScopeGroup.objects.create(name=f"{OWN}-team")
            entry["group"].members.add(self.viewer)
        else:
            entry["user"] = self.viewer
        ScopeEntry.objects.create(**entry)

    def plant_the_rest(self) -> None:
        """Plant another environment, and what of the user's own cluster is out of their scope."""
        number_rows_from(FOREIGN_ID)
        author = stranger()
        away = plant_cluster(MARKER, FOREIGN_SENSOR)
        ScopeEntry.objects.create(user=author, environment=away.environment)
        self.foreign.append(away)
        plant_alerts(away, f"{MARKER}-namespace", MARKER, [author, author], count=4)
        if self.kind.startswith("namespace"):
            beside = Place(self.own.environment, self.own.cluster, self.own.sensor)
            ScopeEntry.objects.create(user=author, cluster=beside.cluster, namespace=f"{MARKER}-beside")
            author = User.objects.get(pk=author.pk)
            plant_alerts(beside, f"{MARKER}-beside", f"{MARKER}b", [author, author], count=5)
            self.foreign.append(beside)

    def requests(self) -> Iterator[tuple[str, str]]:
        """Yield (view name, URL with arguments and query) of every page, with ids of rows in scope and out of it."""
        for name, arguments in walked("GET"):
            for chosen in self.arguments(arguments):
                url = reverse(name, kwargs=chosen)
                yield name, url
                yield from ((name, f"{url}?{query}") for query in self._queries(name, arguments))

    def arguments(self, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the arguments with ids of no row, of rows out of scope once those are planted, and of rows in scope."""
        numbers = [FOREIGN_ID, self.own.alerts[0].pk, self.own.alerts[1].pk, self.own.cluster.pk]
        yield arguments
        if any(isinstance(value, int) for value in arguments.values()):
            for number in numbers:
                yield {key: number if isinstance(value, int) else value for key, value in arguments.items()}
        if any(isinstance(value, uuid.UUID) for value in arguments.values()):
            for sensor in (FOREIGN_SENSOR, self.own.sensor.pk):
                yield {key: sensor if isinstance(value, uuid.UUID) else value for key, value in arguments.items()}

    def _queries(self, name: str, arguments: dict[str, Any]) -> Iterator[str]:
        if arguments:
            yield from (f"tab={each}" for each in ("timeline", "tree", "why", "action") if name == "alerts:detail")
            return
        if name.startswith(("alerts:", "alerts-api:")):
            yield from (f"group={each}&status=any" for each in GROUPINGS)
            yield from (f"sort={each}&status=any" for each in ("resource", "-group", "-updated"))
            yield from (f"add={each}" for each in ("environment", "cluster", "assignee", "rule"))
            yield from (f"split={each}&days=90&all=yes" for each in ("status", "cloud", "rule"))
            yield from (f"{each}={FOREIGN_ID}" for each in ("cluster", "environment", "binary", "incident", "q"))
            yield f"q={MARKER}&status=any"
            yield "provider=azure&status=any&group=rule&all=yes"
            yield f"alert={self.own.alerts[0].pk}"
            yield f"since=0&shown={FOREIGN_ID}&status=any"
        if name == "alerts:values":
            yield from (f"property={each}&typed={typed}" for each in SOURCES for typed in ("", MARKER[:3]))


def body(response: HttpResponseBase) -> bytes:
    content = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
    headers = "\n".join(f"{key}: {value}" for key, value in response.items() if key not in CHANGING)
    for pattern in MASKED:
        content = pattern.sub(b"", content)
    return re.sub(r"alerts-\d{8}-\d{4}", "alerts", headers).encode() + b"\n\n" + content


@contextmanager
def undone() -> Iterator[None]:
    """Undo what a request stores, so that each finds the same estate.

    A savepoint and no atomic block: within that, every durable action would fail and change nothing.
    """
    before = transaction.savepoint()
    try:
        yield
    finally:
        transaction.set_rollback(False)
        transaction.savepoint_rollback(before)


@dataclass
class Walk:
    """The responses to the same requests before and after the rest of the estate was planted."""

    requests: list[tuple[str, str]]
    before: list[Response]
    after: list[Response]
    statements: dict[str, str]
    """What the database was asked for after it was planted, with the first request that asked."""

    def differences(self) -> list[str]:
        rows = zip(self.requests, self.before, self.after, strict=True)
        return [f"{name} {url}: {_difference(old, new)}" for (name, url), old, new in rows if old != new]


@contextmanager
def at_one_moment() -> Iterator[None]:
    """Stop the clocks that pages show: ages and deadlines would differ between two responses to the same request."""
    facts = dataclasses.replace(portal_checks.redis_facts(), uptime=0.0)
    with (
        mock.patch.object(timezone, "now", return_value=timezone.now()),
        mock.patch.object(portal_checks, "redis_facts", return_value=facts),
        # On busy cores the banner would come with one response, and be loaded after the other.
        mock.patch.object(dead_parts, "WAIT_SECONDS", 30.0),
    ):
        yield


@functools.cache
@at_one_moment()
def get_walk(kind: str) -> Walk:
    """Request every page; once, for the tests of responses and of statements. The caller's test has a database."""
    estate = Estate(kind)
    requests = list(estate.requests())
    walk = Walk(requests, [_get(estate, url) for _, url in requests], [], {})
    estate.plant_the_rest()
    for name, url in requests:
        with statements() as seen:
            walk.after.append(_get(estate, url))
        walk.statements |= {sql: f"{name} {url}" for sql in seen if sql not in walk.statements}
    return walk


@functools.cache
@at_one_moment()
def post_walk(kind: str) -> Walk:
    """Send every form; once, as above. No row out of scope changes."""
    estate = Estate(kind)
    requests = [
        (name, reverse(name, kwargs=chosen))
        for name, arguments in walked("POST")
        for chosen in ({key: FOREIGN_ID if isinstance(value, int) else value for key, value in arguments.items()},)
    ]
    number_rows_from(NEW_ID)
    walk = Walk(requests, [_post(estate, url)[0] for _, url in requests], [], {})
    estate.plant_the_rest()
    number_rows_from(NEW_ID)
    rows = planted_rows()
    for name, url in requests:
        response, seen = _post(estate, url, rows)
        walk.after.append(response)
        if name not in INGESTING:
            walk.statements |= {sql: f"POST {name} {url}" for sql in seen if sql not in walk.statements}
    return walk


@pytest.mark.parametrize("kind", VIEWERS)
def test_the_rest_of_the_estate_changes_no_response(kind: str, queued: list[Any]) -> None:
    walk = get_walk(kind)
    assert not walk.differences(), "\n".join(walk.differences())
    assert [status for status, _ in walk.before if status >= 500] == []
    shown = {name for (name, _), (status, _) in zip(walk.requests, walk.before, strict=True) if status == 200}
    assert len(shown) > len(walk.requests) / 100


@pytest.mark.parametrize("kind", VIEWERS)
def test_no_change_reaches_the_rest_of_the_estate(kind: str, queued: list[Any]) -> None:
    walk = post_walk(kind)
    assert not walk.differences(), "\n".join(walk.differences())
    statuses = zip(walk.requests, walk.before, strict=True)
    assert [url for (_, url), (status, _) in statuses if status >= 500] == []


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect what is read meanwhile."""
    seen: list[str] = []

    def collect(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if sql.lstrip().upper().startswith(("SELECT", "WITH")):
            seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(collect):
        yield seen


def _get(estate: Estate, url: str) -> Response:
    with undone():
        response = estate.client.get(url)
        return response.status_code, body(response)


def _post(estate: Estate, url: str, rows: dict[str, Any] | None = None) -> tuple[Response, list[str]]:
    """Send every field that any form has, with ids of what is out of scope; return what was read too."""
    with undone():
        with statements() as seen:
            if url.startswith("/api/"):
                sent = {"alerts": {str(FOREIGN_ID): 2}, "status": "resolved", "verdict": "true_positive"}
                response = estate.client.post(url, sent, content_type="application/json")
            else:
                response = estate.client.post(url, FIELDS)
        if rows is not None:
            assert planted_rows() == rows, url
        return (response.status_code, UUID.sub(b"", body(response))), seen


def _difference(old: Response, new: Response) -> str:
    if old[0] != new[0]:
        return f"status {old[0]}, then {new[0]}"
    one, two = old[1].decode().splitlines(), new[1].decode().splitlines()
    pairs = [(left, right) for left, right in zip(one, two, strict=False) if left != right]
    left, right = pairs[0] if pairs else ("", str(len(two) - len(one)) + " more lines")
    start = next((n for n, (x, y) in enumerate(zip(left, right, strict=False)) if x != y), 0)
    return f"…{left[max(0, start - 60) : start + 60]}… then …{right[max(0, start - 60) : start + 60]}…"
