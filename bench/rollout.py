"""`python -m bench.rollout`: a Save on its way to thousands of sensors, one gateway and one web process.

The sensors are simulated in one process and speak the real protocol (bench/rollout_fleet.py); the
document takes 20 KB. Beside it, in the same run, what the same simulator needs for 20,000 authenticated
`GET me/policy` that answer 304. SENSORS=1000,3000,10000 chooses the sizes, the last one also has its
gateway killed; BASELINE=20000 the number of those calls; SAVES=3 how many Saves each size measures.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.rollout_fleet import Fleet
from bench.rollout_portal import Programs, processor_seconds, programs

DOCUMENT_BYTES = 20_000
NOTIFIED_GOAL, ACKNOWLEDGED_GOAL = 5.0, 4.0
"""Goals: seconds until all are notified; times the baseline until all have acknowledged."""
PATIENCE = 180.0


@dataclass(frozen=True)
class Spread:
    """Seconds from Save: half, 99 of 100, and all of the sensors."""

    half: float
    most: float
    last: float

    @classmethod
    def of(cls, begun: float, moments: dict[int, float]) -> Spread:
        times = sorted(moment - begun for moment in moments.values())
        return cls(times[len(times) // 2], times[len(times) * 99 // 100], times[-1])

    def __str__(self) -> str:
        return f"{self.half:>7.2f} {self.most:>7.2f} {self.last:>7.2f}"


def main() -> None:
    """Measure and print; some three minutes on two idle cores."""
    sizes = [int(part) for part in os.environ.get("SENSORS", "1000,3000,10000").split(",")]
    with programs() as portal:
        key = _first_key()
        rows: dict[int, float] = {}
        for size in sizes:
            fleet = Fleet(_more_sensors(size), portal.web.port, portal.gateway_port, key)
            rows[size] = asyncio.run(measure(portal, fleet, is_last=size == sizes[-1]))
    for size in sizes[1:]:
        grown = rows[size] / rows[sizes[0]]
        print(
            f"{size:>7,}: all acknowledged in {grown:.1f} x the time of {sizes[0]:,} ({size / sizes[0]:.1f} x sensors)"
        )


async def measure(portal: Programs, fleet: Fleet, *, is_last: bool) -> float:
    """Print the table of this size; return the seconds until all had acknowledged the median Save."""
    size = len(fleet.sensors)
    before = portal.gateway_memory()
    begun = time.perf_counter()
    fleet.start()
    await _until(lambda: fleet.connected == size and all(s.number for s in fleet.sensors), "all are connected")
    opened = time.perf_counter() - begun
    each = (portal.gateway_memory() - before) / size / 1024
    print(
        f"\n{size:,} sensors: connected and served in {opened:.1f} s, {each:.1f} KiB of the gateway's memory a stream"
    )
    print("      notified:  p50     p99    all | acknowledged:  p50     p99    all | fetches a sensor")
    results = [await save(fleet) for _ in range(int(os.environ.get("SAVES", "3")))]
    median = sorted(results)[len(results) // 2]
    if is_last:
        await compare(fleet, median)
        await outage(portal, fleet)
    await fleet.stop()
    return median


async def save(fleet: Fleet) -> float:
    """One Save; seconds until the last sensor's acknowledgement was answered."""
    size, calls = len(fleet.sensors), sum(fleet.calls[key] for key in ("policy 200", "policy 304"))
    spent = processor_seconds()
    begun = time.perf_counter()
    number = await asyncio.to_thread(_save)
    await _until(lambda: len(fleet.acknowledged.get(number, ())) == size, "all have acknowledged", fleet, number)
    notified, acknowledged = (Spread.of(begun, moments[number]) for moments in (fleet.notified, fleet.acknowledged))
    await asyncio.sleep(2)
    fetches = (sum(fleet.calls[key] for key in ("policy 200", "policy 304")) - calls) / size
    print(f"  v{number:<4}    {notified} |          {acknowledged} | {fetches:.2f}")
    used = ", ".join(f"{name} {after - spent.get(name, 0):.1f}" for name, after in processor_seconds().items())
    print(f"           processor seconds: {used}", flush=True)
    if notified.last > NOTIFIED_GOAL:
        print(f"           goal missed: notified within {NOTIFIED_GOAL} s")
    return acknowledged.last


async def compare(fleet: Fleet, acknowledged: float) -> None:
    """The baseline, and how many times as long as it the median Save took."""
    count = int(os.environ.get("BASELINE", "20000"))
    seconds = await fleet.unchanged(count)
    ratio = acknowledged / seconds
    print(f"  {count:,} GET me/policy -> 304 in {seconds:.1f} s ({count / seconds:,.0f}/s)")
    print(f"  all acknowledged: {ratio:.2f} x that (goal {ACKNOWLEDGED_GOAL:.0f} x)")


async def outage(portal: Programs, fleet: Fleet) -> None:
    """kill -9 of the gateway: how soon all sensors are back, and that none misses the next version."""
    size = len(fleet.sensors)
    await asyncio.to_thread(portal.kill_gateway)
    begun = time.perf_counter()
    await asyncio.to_thread(portal.start_gateway)
    await _until(lambda: fleet.connected == size, "all are back")
    print(
        f"  after kill -9 of the gateway all {size:,} were back in {time.perf_counter() - begun:.1f} s; the next Save:"
    )
    await save(fleet)
    print(f"  {dict(sorted(fleet.calls.items()))}")


async def _until(condition: Callable[[], bool], what: str, fleet: Fleet | None = None, number: int = 0) -> None:
    deadline = time.perf_counter() + PATIENCE
    while not condition():
        if time.perf_counter() > deadline:
            missing = f"; {len(fleet.acknowledged.get(number, ()))} of {len(fleet.sensors)}" if fleet else ""
            sys.exit(f"bench: not within {PATIENCE:.0f} s: {what}{missing}")
        await asyncio.sleep(0.05)


def _first_key() -> bytes:
    from drift.fleet.actions.bundles import ensure_signing_key

    return bytes(ensure_signing_key().public_key)


def _more_sensors(count: int) -> list[str]:
    """Retire those of the size before, and enrol `count` new ones; their credentials."""
    from django.utils import timezone

    from accounts import tokens
    from drift.fleet.models import Cluster, EnrolmentToken, Environment, Sensor, SensorState, SensorStatus
    from drift.policy.models import PolicyVersion

    Sensor.objects.filter(state=SensorState.LIVE).update(state=SensorState.RETIRED, ended_at=timezone.now())
    account = f"bench-{count}"
    environment = Environment.objects.create(provider="azure", account=account, name=account)
    enrolment = EnrolmentToken.objects.create(name=account, prefix=account[:16], digest=b"", environment=environment)
    cluster = Cluster.objects.create(
        environment=environment, name=account, distribution="aks", kubernetes_version="v1.31.2"
    )
    version = PolicyVersion.objects.order_by("-number").first()
    made = [tokens.new_token(tokens.SENSOR) for _ in range(count)]
    facts: dict[str, Any] = {"cluster": cluster, "enrolment_token": enrolment, "desired_version": version}
    rows = [
        Sensor(node=f"node-{place}", credential_prefix=new.prefix, credential_digest=new.digest, **facts)
        for place, new in enumerate(made)
    ]
    Sensor.objects.bulk_create(rows, batch_size=1_000)
    SensorStatus.objects.bulk_create([SensorStatus(sensor=row) for row in rows], batch_size=1_000)
    return [new.token for new in made]


def _save() -> int:
    """A new version of some 20 KB; its number."""
    from django.db import connection

    import portal.celery  # noqa: F401 - the app that `drift.queue` sends with
    from accounts.models import User
    from accounts.roles import Role
    from drift.policy.actions.versions import save_document
    from drift.policy.models import PolicyVersion

    user, _ = User.objects.get_or_create(email="bench@example.com", defaults={"name": "Bench", "role": Role.ADMIN})
    latest = PolicyVersion.objects.latest("number")
    saved = save_document(user, _document(latest.document), latest.number, "bench")
    connection.close()
    return saved.version.number


def _document(latest: dict[str, Any]) -> dict[str, Any]:
    """The latest document with a fresh set of rules before the default one."""
    rules: list[dict[str, Any]] = []
    while len(rules) * 350 < DOCUMENT_BYTES:
        name = f"Rule {len(rules)} {uuid.uuid4().hex[:8]}"
        scope = [{"property": "namespace", "any_of": [{"operator": "equals", "value": name}]}]
        rules.append(
            {
                "id": str(uuid.uuid4()),
                "name": name,
                "action": "alert",
                "scope_description": name,
                "cloud_scope": [{"provider": "azure"}],
                "resource_scope": scope,
                "allow_list": [f"/usr/local/bin/tool-{len(rules)}"],
            }
        )
    return {**latest, "rules": rules}


if __name__ == "__main__":
    main()
