"""Redis is cut off at the moment at which a worker acknowledges a task: the worker takes others once it is back."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest

from tests.results import Figure
from tests.system.parts import Parts
from tests.system.relay import Relay
from tests.system.stack import eventually

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
LOST_AFTER = 8.0
"""Seconds: the worker waits 5 for each answer of Redis."""
GOAL = 30.0
"""Seconds that docs/delivery.md#recovery-of-lost-messages promises."""


def test_a_worker_whose_acknowledgement_was_lost_takes_tasks_again(figure: Figure) -> None:
    directory = Path(tempfile.mkdtemp(prefix="dws-"))
    parts, relay = Parts(directory), None
    try:
        parts.prepare()
        socket = Path(parts.env["REDIS_URL"].removeprefix("unix://").partition("?")[0])
        relay = Relay(directory / "relay", socket.parent, socket.name)
        parts.own_env["worker"] = {"REDIS_URL": f"unix://{directory / 'relay' / socket.name}?db=0"}
        parts.start("worker", "beat")
        done = "succeeded in"
        eventually(lambda: any(done in line for line in parts.log("worker")), "a task ends", 90)
        relay.stop_at = b"ZREM\r\n$13\r\nunacked_index"
        eventually(lambda: relay.stop_at is None, "a task is acknowledged", 60)
        time.sleep(LOST_AFTER)
        before = sum(done in line for line in parts.log("worker"))
        relay.passes.set()
        began = time.monotonic()
        eventually(lambda: sum(done in line for line in parts.log("worker")) > before, "the next task ends", 120)
        seconds = time.monotonic() - began
        value = f"after {seconds:.0f} s"
        figure("a task ends after Redis is back", value, goal=f"{GOAL:.0f} s", kept=seconds <= GOAL)
        assert seconds <= GOAL
    finally:
        if relay:
            relay.passes.set()
            relay.close()
        parts.stop()
        shutil.rmtree(directory, ignore_errors=True)
