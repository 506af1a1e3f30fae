"""The parts of `make long`: what takes too long for CI, each with what it tries and how long it takes.

A new part is one entry of PARTS and one row of the table in CONTRIBUTING.md#long-runs. A test reports figures through
the fixture `figure` (tests/results.py); a part whose tests report none has the number of tests that passed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

LONG: Final = {"DRIFTWATCH_LONG": "1"}
FULL: Final = {"BLOCKING_FULL": "1"}


@dataclass(frozen=True)
class Part:
    """One command; it runs in the project's root and succeeds with status 0."""

    name: str
    tries: str
    minutes: int
    """On two idle cores."""
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def most_minutes(self) -> int:
        """Return after how many minutes the part is stopped: a busy machine takes three times as long."""
        return self.minutes * 3 + 10


def tests(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs these tests, with their output."""
    return (sys.executable, "-m", "pytest", "--timeout=3600", "-s", *arguments)


PARTS: Final = (
    Part(
        "failover",
        "a standby of PostgreSQL takes over under load",
        3,
        tests("tests/long/test_database_failover.py"),
        LONG,
    ),
    Part(
        "sentinel",
        "Sentinels choose another Valkey, and another Redis over TLS",
        4,
        tests("tests/long/test_sentinel.py"),
        LONG,
    ),
    Part("pgbouncer", "the portal works behind PgBouncer", 2, tests("tests/long/test_pgbouncer.py"), LONG),
    Part(
        "slow-faults",
        "the two faults that take minutes to be shown, and an acknowledgement that is lost to an outage of Redis",
        6,
        tests("tests/long/test_slow_faults.py", "tests/long/test_lost_acknowledgement.py"),
        LONG,
    ),
    Part(
        "migrations",
        "ten million events are migrated while they are written and read",
        5,
        tests("tests/long/test_migrations_under_load.py"),
        LONG,
    ),
    Part(
        "siem",
        "100,000 records to a SIEM that is killed as often as the sender, 40 times in all",
        4,
        tests("tests/unit/drift/siem/test_kills.py"),
        LONG,
    ),
    Part(
        "images",
        "both images from their Containerfiles; the sensor's alerts on a real drift in a portal of the other",
        8,
        ("bash", "scripts/image-check.sh"),
    ),
    Part(
        "spares",
        "a rule that blocks everything spares 10,000 programs of an image and 1,000 touched ones",
        6,
        tests("tests/system/test_blocking_spares.py", "tests/system/test_blocking_spares_pods.py"),
        FULL,
    ),
    Part(
        "provenance",
        "rules on session and writer stop 1,000 programs each and let 10,000 run",
        5,
        tests("tests/system/test_blocking_provenance.py"),
        FULL,
    ),
    Part(
        "sessions",
        "processes come into containers and pods 1,000 times by each way, beside load; each has its session",
        30,
        tests("tests/system/test_sessions_often.py"),
        {"SESSION_STARTS": "1000"},
    ),
    Part(
        "unusual-pods",
        "29 unusual ways to a program, in pods",
        1,
        tests("tests/system/capture/test_unusual_ways.py"),
        {"UNUSUAL_IN": "pod"},
    ),
    Part(
        "sequences",
        "500 random sequences of writes, mappings, links, renames and mounts against a model of what ran",
        6,
        tests("tests/system/capture/test_write_record.py", "-k", "random"),
        {"WRITE_SEQUENCES": "500"},
    ),
    Part(
        "bytes",
        "changed inputs for each parser of foreign bytes, ten minutes each",
        45,
        tests("tests/unit/test_hostile_bytes.py"),
        LONG,
    ),
    Part(
        "api",
        "200 valid and 200 invalid requests to each operation, by every kind of caller",
        25,
        tests("-n", "2", "--dist", "load", "-v", "tests/unit/portal/test_openapi_cases.py"),
        LONG,
    ),
    Part(
        "soak",
        "half an hour of load leaves memory, connections and files flat",
        32,
        tests("tests/long/test_soak.py"),
        LONG,
    ),
)
