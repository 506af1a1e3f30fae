"""Prometheus metrics and health on loopback (docs/sensor.md#metrics-and-health)."""

from __future__ import annotations

import http.server
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from sensor.wire import Heartbeat

LOOPBACK: Final = "127.0.0.1"
STUCK_AFTER: Final = 30.0
"""Seconds without a turn of the sensor's loop, which takes at most one, before it counts as stuck."""
CLIENT_SECONDS: Final = 5.0
"""The connection of a slower client is closed."""
PREFIX: Final = "driftwatch_sensor_"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus's text format: https://prometheus.io/docs/instrumenting/exposition_formats/."""


class Pulse:
    """Records that the sensor's loop still turns."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Record a turn of the loop."""
        self._last = self._clock()

    @property
    def is_alive(self) -> bool:
        """Whether the loop took a turn in the last 30 seconds."""
        return self._clock() - self._last < STUCK_AFTER


def metrics_text(heartbeat: Heartbeat) -> str:
    """Return a heartbeat's counters and this process's CPU and memory in Prometheus's text format."""
    return "".join(_lines(heartbeat))


def _lines(heartbeat: Heartbeat) -> Iterator[str]:
    counters = heartbeat.counters
    labels = _labels(version=heartbeat.sensor_version, backend=heartbeat.backend)
    yield _metric("info", "gauge", "Version and capture backend.", [(labels, 1)])
    yield _metric("policy_number", "gauge", "Applied policy, 0 for none.", [("", heartbeat.applied_number or 0)])
    expires_at = heartbeat.policy_expires_at
    seconds = expires_at.timestamp() if expires_at else 0
    yield _metric("policy_expires_timestamp_seconds", "gauge", "When the bundle expires, 0 for never.", [("", seconds)])
    is_expired = bool(expires_at) and seconds < time.time()
    yield _metric("policy_expired", "gauge", "1 while the bundle has expired.", [("", int(is_expired))])
    yield _metric("execs_total", "counter", "Execs in containers.", [("", counters.execs)])
    yield _metric("drifted_total", "counter", "Execs that are drift.", [("", counters.drifted)])
    yield _metric("unresolved_total", "counter", "Drift in unidentified containers.", [("", counters.unresolved)])
    yield _metric("set_aside_total", "counter", "Events that the portal rejected.", [("", counters.set_aside)])
    yield _metric("spooled_events", "gauge", "Events waiting on disk.", [("", counters.spooled)])
    lost = [(_labels(cause=cause), number) for cause, number in sorted(counters.lost.items())]
    yield _metric("lost_total", "counter", "Execs or events lost, by cause.", lost)
    unknown = [(_labels(what=what), number) for what, number in sorted(counters.unknown.items())]
    yield _metric("unknown_total", "counter", "Drift with incomplete facts, by what is missing.", unknown)
    yield _metric("cpu_seconds_total", "counter", "CPU time of this process.", [("", round(time.process_time(), 3))])
    yield _metric("resident_bytes", "gauge", "Memory of this process.", [("", _resident_bytes())])


def _metric(name: str, kind: str, text: str, samples: Sequence[tuple[str, float]]) -> str:
    head = f"# HELP {PREFIX}{name} {text}\n# TYPE {PREFIX}{name} {kind}\n"
    return head + "".join(f"{PREFIX}{name}{labels} {value}\n" for labels, value in samples)


def _labels(**values: str) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class MetricsServer:
    """Serves `/metrics` and `/healthz` in a thread of its own, until closed."""

    def __init__(self, port: int, heartbeat: Callable[[], Heartbeat], pulse: Pulse, address: str = LOOPBACK) -> None:
        """Listen at once; port 0 picks a free one. Raises OSError where the port is in use or the address not ours."""
        handler = type("Handler", (_Handler,), {"heartbeat": staticmethod(heartbeat), "pulse": pulse})
        self._server = http.server.ThreadingHTTPServer((address, port), handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    heartbeat: Callable[[], Heartbeat]
    pulse: Pulse
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, metrics_text(self.heartbeat()), CONTENT_TYPE)
        elif self.path == "/healthz":
            alive = self.pulse.is_alive
            self._answer(200 if alive else 503, "ok\n" if alive else "the sensor's loop is stuck\n", "text/plain")
        else:
            self._answer(404, "only /metrics and /healthz exist\n", "text/plain")

    def _answer(self, status: int, text: str, content_type: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: scrapes come every few seconds."""


def is_healthy(port: int) -> bool:
    """Return whether a sensor on that port of this machine reports that it is healthy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through HTTP_PROXY
    try:
        with opener.open(f"http://{LOOPBACK}:{port}/healthz", timeout=CLIENT_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
