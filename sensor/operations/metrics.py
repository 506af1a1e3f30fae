"""Prometheus metrics and health on loopback (docs/sensor.md#metrics-and-health)."""

from __future__ import annotations

import http.server
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from sensor.wire import Heartbeat

LOOPBACK: Final = "127.0.0.1"
STUCK_AFTER: Final = 30.0
"""Seconds without a turn of the sensor's loop, which takes at most one, before it counts as stuck."""
CLIENT_SECONDS: Final = 5.0
"""The connection of a slower client is closed."""
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
            # Not with this module, which a probe loads every few seconds.
            from sensor.operations.metric_families import metrics_text

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
