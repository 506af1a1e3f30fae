"""What health shows of each fault, and within how many seconds: the table of docs/health.md, made to happen.

Processes are stopped with SIGSTOP: they hang, and no supervisor restarts them.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from sensor import wire
from sensor.policy import default_document
from tests.system.stack import ROOT, Stack, eventually

pytestmark = pytest.mark.services

WITHIN = 15.0
"""Seconds within which a dead process must be shown."""
BUSY = 45.0
"""Seconds that a busy machine may add before a test fails; what was measured is printed."""


@contextmanager
def hanging(stack: Stack, *names: str) -> Iterator[None]:
    """Let programs hang, with their children."""
    pids = [pid for name in names for pid in _family(stack.pid(name))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def _family(pid: int) -> list[int]:
    children = subprocess.run(["pgrep", "--parent", str(pid)], capture_output=True, text=True, check=False).stdout
    return [pid, *(each for child in children.split() for each in _family(int(child)))]


def state(api: httpx.Client, code: str) -> str:
    rows = api.get("health/").json()["conditions"]
    return str(next(row["state"] for row in rows if row["code"] == code))


def _is_well(api: httpx.Client, code: str) -> bool:
    return state(api, code) == "ok"


def measured(what: str, shown: Callable[[], bool], seconds: float = WITHIN) -> None:
    """Wait until it is shown, and print how long that took."""
    began = time.monotonic()
    eventually(shown, what, seconds + BUSY, pause=0.3)
    print(f"{what}: {time.monotonic() - began:.1f} s")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One for all: each test leaves it well."""
    path = Path(tempfile.mkdtemp(prefix="dws-"))
    running = Stack(path / "data")
    running.start()
    yield running
    running.stop()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """Call the API once everything that the portal consists of is well."""
    with stack.api() as client:
        for code in ("worker", "beat", "gateway", "queue", "redis"):
            eventually(functools.partial(_is_well, client, code), f"{code} is well", 60)
        yield client


@pytest.mark.parametrize(
    ("program", "code"), [("worker", "worker"), ("beat", "beat"), ("gateway", "gateway"), ("valkey", "redis")]
)
def test_a_part_that_hangs_is_shown_and_gone_again_once_it_goes_on(
    stack: Stack, api: httpx.Client, program: str, code: str
) -> None:
    with hanging(stack, program):
        measured(f"{program} hangs, health", lambda: state(api, code) == "failing")
        answer = httpx.get(f"{stack.url}/readyz", timeout=30)
        assert answer.status_code == 503
        assert answer.json()["checks"][code].startswith("failing")
        assert httpx.get(f"{stack.url}/readyz?role=web", timeout=30).status_code == 200
    measured(f"{program} goes on, health", lambda: state(api, code) == "ok")


def test_with_worker_and_beat_hanging_a_save_is_accepted_and_the_banner_says_that_it_is_not_distributed(
    stack: Stack, api: httpx.Client
) -> None:
    with hanging(stack, "worker", "beat"):
        document = {**default_document(), "detect": ["new_file"]}
        latest = api.get("policy/versions/", params={"limit": 1}).json()["results"][0]["number"]
        saved = api.post("policy/versions/", json={"document": document, "base": latest})
        assert saved.status_code == 201, saved.text
        with httpx.Client(base_url=stack.url, timeout=30) as browser:
            sign_in(browser, stack)
            measured(
                "a Save without worker and beat, banner",
                lambda: "is not distributed" in browser.get("/settings/health/banner/").text,
            )
    measured("the saved version is applied, health", lambda: state(api, "rollout_stuck") == "ok")


def sign_in(browser: httpx.Client, stack: Stack) -> None:
    email, password = stack.sign_in("Security Admin")
    browser.get("/sign-in/")
    form = {"username": email, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    assert browser.post("/sign-in/", data=form).status_code == 302


def test_a_database_that_hangs_makes_web_unready_in_seconds(stack: Stack, api: httpx.Client) -> None:
    with hanging(stack, "postgres"):
        began = time.monotonic()
        answer = httpx.get(f"{stack.url}/readyz?role=web", timeout=60)
        print(f"PostgreSQL hangs, readyz: {time.monotonic() - began:.1f} s")
        assert (answer.status_code, answer.json()["checks"]) == (503, {"database": "failing: hangs"})
    measured("PostgreSQL goes on, readyz", stack.is_ready)


def test_doctor_prints_what_hangs_and_its_status_is_for_cron(stack: Stack, api: httpx.Client) -> None:
    places = {"DATABASE_URL": stack.database_url, "REDIS_URL": f"unix://{stack.data}/run/valkey.sock"}
    environment = {**os.environ, **places, "SECRET_KEY": (stack.data / "secret-key").read_text().strip()}
    with hanging(stack, "gateway"):
        eventually(lambda: state(api, "gateway") == "failing", "the gateway's silence is noticed", WITHIN + BUSY)
        command = [sys.executable, "-m", "portal.program", "doctor", "--json"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    rows = {row["code"]: row["state"] for row in json.loads(done.stdout)}
    assert (rows["gateway"], rows["worker"]) == ("failing", "ok")


def _stop_blocking(api: httpx.Client, is_off: bool) -> None:
    api.put("blocking/", json={"blocking_stopped": is_off}).raise_for_status()


def _switch_an_environment(api: httpx.Client, is_off: bool) -> None:
    first = api.get("environments/").json()["results"][0]["id"]
    api.patch(f"environments/{first}/", json={"sensor_enabled": not is_off}).raise_for_status()


@pytest.mark.parametrize(
    ("code", "switch"), [("blocking_stopped", _stop_blocking), ("environment_off", _switch_an_environment)]
)
def test_what_somebody_switches_off_is_shown_at_the_next_look(
    stack: Stack, api: httpx.Client, code: str, switch: Callable[[httpx.Client, bool], None]
) -> None:
    assert state(api, code) == "ok"
    switch(api, True)
    try:
        measured(f"{code}, health", lambda: state(api, code) == "failing", 1)
    finally:
        switch(api, False)
    measured(f"{code} no longer, health", lambda: state(api, code) == "ok", 1)


def test_a_nodes_clock_that_is_wrong_is_shown_soon_after_its_next_heartbeat(stack: Stack, api: httpx.Client) -> None:
    cluster = {"name": "clocks", "distribution": "other", "kubernetes_version": None}
    body = {"token": stack.enrolment_token("123456789012"), "cluster": cluster, "node": "n", "sensor_version": "0"}
    answer = httpx.post(f"{stack.url}/api/v1/sensors/enrol", json=body, timeout=30).raise_for_status()
    headers = {"Authorization": f"Bearer {answer.json()['credential']}"}

    def shown(ahead: float, expected: str) -> bool:
        sent_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ahead)
        heartbeat = wire.Heartbeat("0", None, [], "ebpf", None, wire.Counters(), sent_at=sent_at)
        url = f"{stack.url}/api/v1/sensors/me/heartbeat"
        httpx.post(url, content=msgspec.json.encode(heartbeat), headers=headers, timeout=30).raise_for_status()
        return state(api, "sensor_clock") == expected

    measured("a node's clock is 90 s ahead, health", lambda: shown(90, "failing"))
    measured("its clock is right again, health", lambda: shown(0, "ok"))
