"""A heartbeat and this process as Prometheus's metrics (docs/sensor.md#metrics-and-health)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sensor.names.loss_causes import LOSS_CAUSES, UNKNOWN_FACTS

if TYPE_CHECKING:
    from sensor.wire import Heartbeat

PREFIX: Final = "driftwatch_sensor_"


def metrics_text(heartbeat: Heartbeat) -> str:
    """Return a heartbeat's counters and this process's CPU and memory in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(heartbeat))
    return generate_latest(registry).decode()


class _Families(Collector):
    """The metrics of one heartbeat. Every series is there from the start, causes that were never counted with 0."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat

    def collect(self) -> Iterator[Metric]:
        beat, counters = self._heartbeat, self._heartbeat.counters
        info = GaugeMetricFamily(f"{PREFIX}info", "Version and capture backend.", labels=["version", "backend"])
        info.add_metric([beat.sensor_version, beat.backend], 1)
        yield info
        yield _gauge("policy_number", "Applied policy, 0 for none.", beat.applied_number or 0)
        expires = beat.policy_expires_at.timestamp() if beat.policy_expires_at else 0
        yield _gauge("policy_expires_timestamp_seconds", "When the bundle expires, 0 for never.", expires)
        yield _gauge("policy_expired", "1 while the bundle has expired.", int(0 < expires < time.time()))
        yield _counter("execs", "Execs in containers.", counters.execs)
        yield _counter("drifted", "Execs that are drift.", counters.drifted)
        yield _counter("unresolved", "Drift in unidentified containers.", counters.unresolved)
        yield _counter("set_aside", "Events that the portal rejected.", counters.set_aside)
        yield _gauge("spooled_events", "Events waiting on disk.", counters.spooled)
        yield _by("lost", "Execs or events lost, by cause.", "cause", LOSS_CAUSES, counters.lost)
        yield _by(
            "unknown", "Drift with incomplete facts, by what is missing.", "what", UNKNOWN_FACTS, counters.unknown
        )
        yield _gauge("gaps", "Containers that are monitored in part.", beat.gap_count)
        yield _gauge("paused_rules", "Rules whose blocking the kill limit has paused.", len(beat.paused_rules))
        yield _counter("cpu_seconds", "CPU time of this process.", round(time.process_time(), 3))
        yield _gauge("resident_bytes", "Memory of this process.", _resident_bytes())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}{name}", text, value=value)


def _by(name: str, text: str, label: str, known: Sequence[str], counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}{name}", text, labels=[label])
    for each, count in {**dict.fromkeys(known, 0), **counts}.items():
        family.add_metric([each], count)
    return family


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
