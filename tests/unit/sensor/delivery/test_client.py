"""One exception for each kind of response."""

from __future__ import annotations

import datetime as dt
import email.utils

import pytest

from sensor import wire
from sensor.delivery import client
from sensor.delivery.client import (
    CredentialRejected,
    EnvironmentOff,
    PortalClient,
    PortalError,
    PortalUnavailable,
    RequestRejected,
    SensorRevoked,
)
from tests.unit.sensor.fake_portal import CREDENTIAL, Answer, FakePortal, refused
from tests.unit.sensor.makers import make_event

EVENTS = "sensors/me/events"


@pytest.fixture
def sensor(portal: FakePortal) -> PortalClient:
    return PortalClient(portal.url + "/api/v1/", CREDENTIAL)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(401, "not_authenticated"), CredentialRejected),
        (refused(403, "sensor_revoked"), SensorRevoked),
        (refused(403, "environment_off"), EnvironmentOff),
        (refused(413, "too_large"), RequestRejected),
        ((413, b"<html>", {}), RequestRejected),
        (refused(422, "invalid", index=1), RequestRejected),
        (refused(429, "busy"), PortalUnavailable),
        (refused(500, "oops"), PortalUnavailable),
        ((502, b"<html>", {}), PortalUnavailable),
        ((403, b"<html>a proxy's word</html>", {}), PortalUnavailable),
        ((404, b"<html>", {}), PortalUnavailable),
        ((302, None, {"Location": "https://elsewhere.example/"}), PortalUnavailable),
        ((200, b"<html>a captive portal</html>", {}), PortalUnavailable),
        ((200, {"accepted": "many"}, {}), PortalUnavailable),
    ],
)
def test_each_response_has_its_own_exception(
    portal: FakePortal, sensor: PortalClient, answer: Answer, kind: type[PortalError]
) -> None:
    portal.script[EVENTS] = [answer]
    with pytest.raises(kind) as caught:
        sensor.send([b"{}"])
    assert type(caught.value) is kind


def test_a_rejection_has_the_event_s_index_and_the_portal_s_time(portal: FakePortal, sensor: PortalClient) -> None:
    portal.script[EVENTS] = [
        refused(422, "clock_skew", index=3, field="observed_at", headers={"Date": "Tue, 24 Nov 2026 08:00:00 GMT"})
    ]
    with pytest.raises(RequestRejected, match="it is clock_skew") as caught:
        sensor.send([b"{}"])
    error = caught.value
    assert (error.status, error.code, error.field, error.index) == (422, "clock_skew", "observed_at", 3)
    assert error.portal_time is not None


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("0", 0, 0), ("999999", 3_600, 3_600), ("soon", None, None), (None, None, None)],
)
def test_retry_after_in_seconds_is_bounded(
    portal: FakePortal, sensor: PortalClient, header: str | None, least: float | None, most: float | None
) -> None:
    portal.script[EVENTS] = [refused(429, "busy", headers={"Retry-After": header} if header else {})]
    with pytest.raises(PortalUnavailable) as caught:
        sensor.send([b"{}"])
    waits = caught.value.retry_after
    assert waits == least == most


def test_retry_after_may_be_a_date(portal: FakePortal, sensor: PortalClient) -> None:
    soon = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100), usegmt=True)
    portal.script[EVENTS] = [refused(503, "unavailable", headers={"Retry-After": soon})]
    with pytest.raises(PortalUnavailable) as caught:
        sensor.send([b"{}"])
    assert caught.value.retry_after is not None
    assert 50 < caught.value.retry_after <= 100


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_date_is_always_in_utc(zone: str) -> None:
    assert client.parsed_http_date(f"Tue, 24 Nov 2026 08:00:00 {zone}") == dt.datetime(2026, 11, 24, 8, tzinfo=dt.UTC)


@pytest.mark.parametrize("text", [None, "", "soon", "Tue, 24 Nov", "a, b, c"])
def test_an_invalid_date_is_none(text: str | None) -> None:
    assert client.parsed_http_date(text) is None


def test_an_unreachable_portal_is_retried() -> None:
    with pytest.raises(PortalUnavailable, match=r"http://127.0.0.1:9 cannot be reached"):
        PortalClient("http://127.0.0.1:9").send([b"{}"])


def test_events_arrive_compressed_and_unchanged(portal: FakePortal, sensor: PortalClient) -> None:
    import msgspec

    events = [make_event(number, argv=["\\xff", "é"]) for number in range(100)]
    answer = sensor.send([msgspec.json.encode(event) for event in events])
    assert (answer.accepted, answer.duplicates) == (100, 0)
    assert list(portal.events.values()) == events
    assert portal.calls[-1][1]["Content-Encoding"] == "gzip"


def test_the_policy_is_returned_once_and_then_only_after_a_change(portal: FakePortal, sensor: PortalClient) -> None:
    assert sensor.policy(None, ["k1"]) is None
    bundle = portal.publish(1)
    fetched = sensor.policy(None, ["k1"])
    assert fetched == client.FetchedBundle(bundle, portal.etag)
    assert sensor.policy(portal.etag, ["k1"]) is None
    portal.publish(2)
    assert sensor.policy(fetched.etag, ["k1"]) is not None
    assert portal.calls[-1][1]["Driftwatch-Keys"] == "k1"


def test_the_credential_is_in_no_message(portal: FakePortal) -> None:
    with pytest.raises(CredentialRejected) as caught:
        PortalClient(portal.url, "dws_wrong").send([b"{}"])
    assert "dws_" not in str(caught.value)


def test_a_stream_yields_pushed_events_and_ends_with_the_gateway(portal: FakePortal, sensor: PortalClient) -> None:
    with sensor.stream(sensor.ticket()) as chunks:
        portal.push("policy", {"number": 2, "etag": "e"})
        portal.push("end", {})
        assert b"".join(chunks).startswith(b"event: policy\n")


def test_a_rejected_stream_is_retried_later(portal: FakePortal, sensor: PortalClient) -> None:
    ticket = wire.StreamTicket(portal.url + "/api/v1/sensors/me/heartbeat", "t", dt.datetime.now(dt.UTC))
    portal.always["sensors/me/heartbeat"] = refused(401, "bad_ticket")
    with pytest.raises(PortalUnavailable, match="401"), sensor.stream(ticket):
        pass
