"""Noise that the portal has stored: on each of twelve days two hooks, and a tool that a person ran."""

from __future__ import annotations

import datetime as dt

from bench.noise_estate import load_lines
from drift.fleet.models import Cluster
from tests.unit.drift.backtest.noise_samples import Json, line

DAYS = 12


def store_noise(cluster: Cluster) -> None:
    """Store it in this cluster's kube-system; today is its last day."""
    place = {
        "provider": cluster.environment.provider,
        "account": cluster.environment.account,
        "cluster": cluster.name,
        "namespace": "kube-system",
    }
    lines: list[Json] = []
    for day in range(DAYS):
        for number in range(2):
            hook = {"path": f"/usr/local/lib/hook-{number}", "sha256": f"{number}" * 64}
            lines.append({**line(day, **place, **hook), "at": day * 86_400})
        tool = {"path": "/tmp/strace", "sha256": "f" * 64, "session": "exec"}
        lines.append({**line(day, **place, **tool), "at": day * 86_400})
    start = dt.datetime.combine(dt.datetime.now(dt.UTC).date() - dt.timedelta(days=DAYS - 1), dt.time(tzinfo=dt.UTC))
    load_lines(lines, start)
