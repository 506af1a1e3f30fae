"""The push gateway, its Valkey, and sensors that hold a stream, for tests."""

from __future__ import annotations

import contextlib
import http.client
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import redis

from drift.fleet.domain import push_messages as push
from portal.embedded import valkey
from tests.system.stack import free_port

SECRET = "only for this test"
PATIENCE = 30.0
"""Seconds after which something did not happen; everything here takes a fraction of one."""


class Broker:
    """A Valkey that can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.server = valkey.Valkey(directory / "data", directory / "v.sock", valkey.find_binary())
        self.server.prepare()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self.server.command(), stdout=subprocess.DEVNULL)
        self.server.wait()

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.server.url)

    def publish(self, message: push.PushMessage) -> int:
        """Publish a message; return how many gateways received it."""
        return int(self.client().publish(push.CHANNEL, push.encode_push(message)))


class Gateway:
    """The process under test."""

    def __init__(self, redis_url: str) -> None:
        self.port = free_port()
        env = {**os.environ, "SECRET_KEY": SECRET, "REDIS_URL": redis_url}
        argv = [sys.executable, "-m", "uvicorn", "--port", str(self.port), "--log-level", "warning"]
        argv += ["--http", "portal.connections:StreamProtocol", "--no-proxy-headers"]
        argv += ["--timeout-graceful-shutdown", "60", "portal.gateway:application"]
        self.process = subprocess.Popen(argv, env=env)
        until(self.answers)

    def answers(self) -> bool:
        try:
            return self.request("/healthz").status == 200
        except OSError:
            return False

    def request(self, path: str, ticket: str | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path, headers={"Authorization": f"Bearer {ticket}"} if ticket else {})
        return connection.getresponse()

    def open(self, sensor: uuid.UUID) -> Sensor:
        """A sensor's stream, once its first keep-alive has come."""
        stream = Sensor(self.request("/stream", ticket_of(sensor)))
        assert stream.next()[0] == "keepalive"
        return stream


class Sensor:
    """Reads a stream in a thread of its own."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        assert response.status == 200
        self._events: queue.Queue[tuple[str, str] | None] = queue.Queue()
        threading.Thread(target=self._read, args=(response,), daemon=True).start()

    def _read(self, response: http.client.HTTPResponse) -> None:
        name = ""
        with contextlib.suppress(OSError, http.client.HTTPException):
            for raw in response:
                kind, _, value = raw.decode().strip().partition(": ")
                if kind == "event":
                    name = value
                elif kind == "data":
                    self._events.put((name, value))
        self._events.put(None)

    def next(self) -> tuple[str, str]:
        """The next event's name and data."""
        event = self._events.get(timeout=PATIENCE)
        assert event is not None, "the stream ended"
        return event

    def is_quiet(self) -> bool:
        return self._events.empty()

    def ends(self) -> None:
        """Wait for the end of the stream."""
        while self._events.get(timeout=PATIENCE) is not None:
            pass


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def ticket_of(sensor: uuid.UUID, lasts: float = 60) -> str:
    return push.issue_ticket(sensor, time.time() + lasts, SECRET)
