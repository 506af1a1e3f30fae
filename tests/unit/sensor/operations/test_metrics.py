"""Metrics and health on loopback."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.names.loss_causes import LOSS_CAUSES
from sensor.operations.metric_families import metrics_text
from sensor.operations.metrics import STUCK_AFTER, MetricsServer, Pulse, is_healthy
from sensor.wire import Counters, Heartbeat

ROOT = Path(__file__).resolve().parents[4]


def heartbeat(**lost: int) -> Heartbeat:
    counters = Counters(execs=9, drifted=3, unresolved=1, spooled=2, set_aside=4, lost=lost)
    return Heartbeat("0.1.0", "v1.31.2", ["ebpf"], "ebpf", 12, counters)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[MetricsServer]:
    with MetricsServer(0, lambda: heartbeat(ring=5), Pulse(clock)) as running:
        yield running


def get(server: MetricsServer, path: str, host: str = "127.0.0.1") -> str:
    with urllib.request.urlopen(f"http://{host}:{server.port}{path}", timeout=20) as answer:
        return str(answer.read().decode())


def samples(text: str) -> dict[str, float]:
    """Each series with its value."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        line.rpartition(" ")[0].removeprefix("driftwatch_sensor_"): float(line.rpartition(" ")[2]) for line in lines
    }


def test_every_counter_of_the_heartbeat_is_a_metric() -> None:
    found = samples(metrics_text(heartbeat(ring=5, spool_full=7)))
    expected = {
        "execs_total": 9,
        "drifted_total": 3,
        "unresolved_total": 1,
        "spooled_events": 2,
        "set_aside_total": 4,
        "policy_number": 12,
        'lost_total{cause="ring"}': 5,
        'lost_total{cause="spool_full"}': 7,
        'info{backend="ebpf",version="0.1.0"}': 1,
    }
    assert {name: found[name] for name in expected} == expected


def test_every_series_exists_before_anything_was_counted() -> None:
    before, after = (samples(metrics_text(heartbeat(**lost))) for lost in ({}, dict.fromkeys(LOSS_CAUSES, 3)))
    assert before.keys() == after.keys()
    assert {before[f'lost_total{{cause="{cause}"}}'] for cause in LOSS_CAUSES} == {0}


def test_every_cause_that_the_sensor_counts_is_known() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "sensor").rglob("*.py"))
    counted = set(re.findall(r"\.lose\(\"([a-z_]+)\"", sources)) | set(
        re.findall(r"self\.lost\[\"([a-z_]+)\"\]", sources)
    )
    assert counted - {"event"} <= set(LOSS_CAUSES)
    assert {"file_gone", "spool_full"} <= counted


def test_each_metric_has_help_and_type_before_its_samples() -> None:
    seen: set[str] = set()
    for line in metrics_text(heartbeat(ring=1)).splitlines():
        if line.startswith("# TYPE"):
            seen.add(line.split()[2])
        elif not line.startswith("#"):
            assert line.partition("{")[0].partition(" ")[0] in seen


def test_a_reason_with_quotes_and_newlines_stays_one_label() -> None:
    assert 'lost_total{cause="a\\"b\\\\c\\nd"} 1.0\n' in metrics_text(heartbeat(**{'a"b\\c\nd': 1}))


def test_metrics_are_served(server: MetricsServer) -> None:
    assert "driftwatch_sensor_execs_total 9.0\n" in get(server, "/metrics")


def test_a_sensor_with_a_running_loop_is_healthy_and_a_stuck_one_is_not(server: MetricsServer, clock: Clock) -> None:
    assert is_healthy(server.port)
    clock.now += STUCK_AFTER
    assert not is_healthy(server.port)


def test_a_turn_of_the_loop_makes_it_healthy_again(clock: Clock) -> None:
    pulse = Pulse(clock)
    clock.now += STUCK_AFTER
    pulse.beat()
    assert pulse.is_alive


def test_nothing_else_is_served(server: MetricsServer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(server, "/")


def test_it_is_served_on_loopback_alone(server: MetricsServer) -> None:
    """All of 127.0.0.0/8 is local, so 127.0.0.2 stands in for any other address."""
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(server, "/metrics", "127.0.0.2")


def test_without_a_server_a_sensor_is_not_healthy(server: MetricsServer) -> None:
    port = server.port
    server.__exit__()
    assert not is_healthy(port)


def test_a_port_in_use_is_an_error(server: MetricsServer) -> None:
    with pytest.raises(OSError, match="in use"):
        MetricsServer(server.port, heartbeat, Pulse())
