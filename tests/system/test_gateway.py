"""The push gateway as a process of its own, fed by a Valkey that may die."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from drift.fleet.domain import push_messages as push
from sensor.delivery.client import PortalClient
from sensor.delivery.lifecycle import Lifecycle
from sensor.delivery.policy_stream import RECONNECT_WITHIN, PolicyStream
from sensor.wire import StreamTicket
from tests.system.gateways import PATIENCE, Broker, Gateway, Sensor, ticket_of, until

pytestmark = pytest.mark.services


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    one = Broker(tmp_path_factory.mktemp("v"))
    one.start()
    yield one
    one.kill()


@pytest.fixture
def gateway(broker: Broker) -> Iterator[Gateway]:
    one = Gateway(broker.server.url)
    until(lambda: broker.publish(push.PushMessage(epoch=0)) == 1)
    yield one
    one.process.kill()
    one.process.wait()


def test_only_a_good_ticket_opens_a_stream(gateway: Gateway) -> None:
    sensor = uuid.uuid4()
    forged = push.issue_ticket(sensor, time.time() + 60, "another secret")

    refused = [None, "rubbish", forged, ticket_of(sensor, lasts=-1), ticket_of(sensor)[:-2]]

    assert [gateway.request("/stream", ticket).status for ticket in refused] == [401] * 5
    assert gateway.request("/stream", ticket_of(sensor)).status == 200
    assert gateway.request("/other").status == 404


def test_a_ticket_opens_one_stream_at_whichever_gateway(gateway: Gateway, broker: Broker) -> None:
    ticket = ticket_of(uuid.uuid4())
    other = Gateway(broker.server.url)

    statuses = [each.request("/stream", ticket).status for each in (gateway, other, gateway, other)]
    other.process.kill()
    other.process.wait()

    assert statuses == [200, 401, 401, 401]


def test_without_redis_a_ticket_still_opens_one_stream_of_a_gateway(gateway: Gateway, broker: Broker) -> None:
    broker.kill()
    ticket = ticket_of(uuid.uuid4())

    statuses = [gateway.request("/stream", ticket).status for _ in range(2)]
    broker.start()

    assert statuses == [200, 401]


def test_half_open_requests_are_closed_while_streams_stay(gateway: Gateway, broker: Broker) -> None:
    stream = gateway.open(uuid.uuid4())
    half_open = [socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) for _ in range(400)]
    for each in half_open:
        each.sendall(b"GET /stream HTTP/1.1\r\nHost: here\r\n")

    assert gateway.open(uuid.uuid4()) is not None
    for each in half_open:
        with contextlib.suppress(ConnectionResetError):
            assert each.recv(1) == b""
    broker.publish(push.PushMessage(1, 1, "e"))
    assert stream.next()[0] == "policy"


def test_a_stream_begins_with_the_epoch(gateway: Gateway, broker: Broker) -> None:
    early = gateway.open(uuid.uuid4())
    broker.publish(push.PushMessage(epoch=7))
    early.next()

    stream = Sensor(gateway.request("/stream", ticket_of(uuid.uuid4())))

    assert stream.next() == ("keepalive", '{"epoch":7}')


def test_a_push_reaches_the_sensors_it_names_and_no_others(gateway: Gateway, broker: Broker) -> None:
    one, two, three = (uuid.uuid4() for _ in range(3))
    streams = [gateway.open(sensor) for sensor in (one, two, three)]

    broker.publish(push.PushMessage(1, 5, "e5", [str(one), str(three)]))
    broker.publish(push.PushMessage(1, 6, "e6"))

    assert streams[1].next() == ("policy", '{"number":6,"etag":"e6"}')
    for stream in (streams[0], streams[2]):
        seen = [stream.next()]
        while '"number":6' not in seen[-1][1]:  # the newer push may take the place of the older
            seen.append(stream.next())
    assert streams[1].is_quiet()


def test_two_streams_of_one_sensor_both_get_a_push(gateway: Gateway, broker: Broker) -> None:
    sensor = uuid.uuid4()
    streams = [gateway.open(sensor), gateway.open(sensor)]

    broker.publish(push.PushMessage(1, 5, "e5", [str(sensor)]))

    assert [stream.next()[0] for stream in streams] == ["policy", "policy"]


def test_an_epoch_that_rose_unnoticed_is_sent_at_once(gateway: Gateway, broker: Broker) -> None:
    stream = gateway.open(uuid.uuid4())

    broker.publish(push.PushMessage(epoch=9))

    assert stream.next() == ("keepalive", '{"epoch":9}')


def test_a_revoked_sensors_stream_ends_and_the_others_stay(gateway: Gateway, broker: Broker) -> None:
    revoked, other = uuid.uuid4(), uuid.uuid4()
    streams = [gateway.open(revoked), gateway.open(other)]

    broker.publish(push.PushMessage(epoch=1, closed=[str(revoked)]))

    streams[0].ends()
    broker.publish(push.PushMessage(1, 5, "e5"))
    assert streams[1].next()[0] == "policy"


def test_an_invalid_message_breaks_no_stream(gateway: Gateway, broker: Broker) -> None:
    stream = gateway.open(uuid.uuid4())

    broker.client().publish(push.CHANNEL, b"\xff{")
    broker.publish(push.PushMessage(1, 5, "e5"))

    assert stream.next()[0] == "policy"


def test_after_a_kill_of_valkey_streams_stay_open_and_the_last_push_is_repeated(
    gateway: Gateway, broker: Broker
) -> None:
    stream = gateway.open(uuid.uuid4())
    broker.kill()
    broker.start()
    broker.client().set(push.LATEST, push.encode_push(push.PushMessage(3, 8, "e8")))
    broker.kill()
    broker.start()

    assert stream.next() == ("policy", '{"number":8,"etag":"e8"}')
    until(lambda: broker.publish(push.PushMessage(3, 9, "e9")) == 1)
    while stream.next() != ("policy", '{"number":9,"etag":"e9"}'):
        pass


def test_the_gateway_starts_without_redis_and_connects_once_it_is_there(broker: Broker) -> None:
    broker.kill()
    gateway = Gateway(broker.server.url)
    try:
        stream = gateway.open(uuid.uuid4())
        broker.start()
        until(lambda: broker.publish(push.PushMessage(1, 5, "e5")) == 1)
        assert stream.next()[0] == "policy"
    finally:
        gateway.process.kill()
        gateway.process.wait()


def test_a_client_that_never_reads_does_not_delay_others(gateway: Gateway, broker: Broker) -> None:
    sensor = uuid.uuid4()
    with socket.create_connection(("127.0.0.1", gateway.port)) as slow:
        request = f"GET /stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ticket_of(sensor)}\r\n\r\n"
        slow.sendall(request.encode())
        quick = gateway.open(uuid.uuid4())
        before = memory_of(gateway)
        for number in range(1, 2_001):
            broker.publish(push.PushMessage(1, number, "e" * 4_096))
        while quick.next()[1][:14] != '{"number":2000':
            pass
        assert memory_of(gateway) - before < 30_000


def memory_of(gateway: Gateway) -> int:
    """Resident KiB."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_a_stream_that_its_sensor_closed_is_forgotten(gateway: Gateway, broker: Broker) -> None:
    def sockets() -> int:
        return len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))

    gateway.open(uuid.uuid4())  # once it is answered, what was closed before it has been noticed
    before = sockets()
    response = gateway.request("/stream", ticket_of(uuid.uuid4()))
    until(lambda: sockets() > before)

    response.close()

    until(lambda: sockets() <= before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_gateway_that_gets_sigterm_ends_its_streams_and_exits(gateway: Gateway, number: signal.Signals) -> None:
    streams = [gateway.open(uuid.uuid4()) for _ in range(20)]

    gateway.process.send_signal(number)

    for stream in streams:
        stream.ends()
    gateway.process.wait(PATIENCE)  # well before the server's own limit for graceful shutdown


class Hasty(Lifecycle):
    """Notes how long a sensor would wait, and hardly does."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        super().pause(min(seconds, 0.05))


class Node(PortalClient):
    """A sensor's own stream, led to one of the gateways that there are; `version`: the latest when it asked last."""

    def __init__(self, gateways: list[Gateway]) -> None:
        super().__init__("http://127.0.0.1:9", "")
        self.latest = self.version = 0
        self.connected = False
        self.running = Hasty()
        self._gateways, self._sensor = gateways, uuid.uuid4()
        self.running.start("stream", PolicyStream(self, self.running, self.ask).step)

    def ticket(self) -> StreamTicket:
        address = f"http://127.0.0.1:{random.choice(self._gateways).port}/stream"
        return StreamTicket(address, ticket_of(self._sensor), dt.datetime.now(dt.UTC))

    def ask(self, _: float) -> None:
        self.connected, self.version = True, self.latest


def test_while_gateways_restart_in_turn_every_version_is_noticed_and_reconnects_are_spread(broker: Broker) -> None:
    gateways = [Gateway(broker.server.url) for _ in range(2)]
    running = list(gateways)
    until(lambda: broker.publish(push.PushMessage(epoch=0)) == 2)
    nodes = [Node(gateways) for _ in range(6)]

    def save(number: int) -> None:
        for node in nodes:
            node.latest = number
        message = push.PushMessage(number, number, f"e{number}")
        broker.client().set(push.LATEST, push.encode_push(message))
        broker.publish(message)
        until(lambda: all(node.version == number for node in nodes))

    try:
        until(lambda: all(node.connected for node in nodes))
        save(1)
        for number, old in enumerate(running[:2]):
            gateways.remove(old)
            old.process.send_signal(signal.SIGTERM)
            save(10 * number + 2)  # while it is going, and the other alone is there
            old.process.wait(PATIENCE)
            running.append(Gateway(broker.server.url))
            gateways.append(running[-1])
            save(10 * number + 3)
    finally:
        for node in nodes:
            node.running.stopping.set()
        for each in running:
            each.process.kill()
            each.process.wait()

    pauses = [seconds for node in nodes for seconds in node.running.pauses]
    assert all(node.running.pauses for node in nodes)
    assert max(pauses) - min(pauses) > RECONNECT_WITHIN / 10
