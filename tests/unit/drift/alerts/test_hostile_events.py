"""Every field of an event with every hostile value: stored and shown, or rejected by name, never a server error."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from django.test import Client

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert
from tests.golden_wire import GOLDEN, examples
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]

EVENTS: Final = "/api/v1/sensors/me/events"
TIMES: Final = (
    "2026-01-01T00:00:00+16:00", "2026-01-01T00:00:00-16:00", "2026-01-01T00:00:00+23:59", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "2026-02-30T00:00:00Z", "2026-01-01",
)  # fmt: skip
STRINGS: Final = (
    "",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "\u202egnp.exe",
    "\uffff",
    "a" * 5_000,
    "%s%n{}${7*7}",
    "\\u0000",
)
NUMBERS: Final = (-1, 0, 2**31, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308)
LITERALS: Final = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "1" * 5_000,
    "[" * 2_000 + "]" * 2_000,
    '{"a":1,"a":2}',
    "01",
    "'a'",
)
OTHERS: Final[tuple[Any, ...]] = (None, True, [], {}, [None], {"": {}}, [[[[]]]])


def paths(value: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value in an event, objects and lists included."""
    yield before
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*before, key))


def full_event() -> dict[str, Any]:
    """Return an event with every field of the wire, of now."""
    base: dict[str, Any] = examples(GOLDEN / "event.json", "valid")[0]["value"]
    now = event()
    return {**base, **{key: now[key] for key in ("event_id", "observed_at", "last_at")}}


def with_value(document: Any, path: tuple[str | int, ...], mark: str) -> Any:
    """Return a copy in which the value at `path` is the string `mark`."""
    if not path:
        return mark
    changed = copy.deepcopy(document)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = mark
    return changed


def bodies(path: tuple[str | int, ...]) -> Iterator[bytes]:
    """Yield a batch for each hostile value at `path`."""
    values = [json.dumps(value) for value in (*TIMES, *STRINGS, *NUMBERS, *OTHERS)]
    for value in (*values, *LITERALS):
        text = json.dumps({"events": [with_value(full_event(), path, "@value@")]})
        yield text.replace('"@value@"', value).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "path", sorted(set(paths(full_event())), key=str), ids=lambda path: ".".join(map(str, path)) or "event"
)
def test_no_value_of_a_field_is_a_server_error(
    path: tuple[str | int, ...], estate: Estate, reader: Any, client_of: Callable[[Any], Client]
) -> None:
    sensor = estate.client()

    statuses = {}
    for body in bodies(path):
        answer = sensor.post(EVENTS, body, content_type="application/json")
        statuses[body] = answer.status_code
        if answer.status_code != 200:
            assert {"code", "message"} <= set(answer.json()), answer.content

    assert set(statuses.values()) <= {200, 400, 413, 422}, [k for k, v in statuses.items() if v >= 500]
    pages = client_of(reader)
    for alert in Alert.objects.order_by("-pk")[:3]:
        for url in (f"/alerts/{alert.pk}/", f"/alerts/{alert.pk}/alert.json", f"/api/v1/alerts/{alert.pk}/"):
            assert pages.get(url, follow=True).status_code == 200, url
    assert pages.get("/alerts/").status_code == 200


def test_a_time_outside_the_calendar_in_utc_is_rejected_by_its_name(estate: Estate) -> None:
    late = event(process__started_at="0001-01-01T00:00:00+14:00")

    answer = estate.client().post(EVENTS, {"events": [late]}, content_type="application/json")

    assert (answer.status_code, answer.json()["field"]) == (422, "process.started_at")


def test_times_with_any_offset_are_stored_in_utc(estate: Estate) -> None:
    when = event()["observed_at"]
    shifted = event(last_at=when.replace("+00:00", "-16:00"))

    answer = estate.client().post(EVENTS, {"events": [shifted]}, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (422, "clock_skew")
    ingest(estate.sensors[0], raw(event(last_at=when.replace("+00:00", "+16:00"))))
    assert Alert.objects.count() == 1
