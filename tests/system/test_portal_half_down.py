"""What still works while most of the portal is down, with a real sensor program."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sensor.operations.state_directory import StateDirectory
from sensor.policy import default_document
from tests.system.parts import Parts
from tests.system.stack import ROOT, eventually

pytestmark = pytest.mark.services

SAMPLE = ROOT / "sensor" / "samples" / "dev.jsonl"
MAKE_ADMIN = (
    "from accounts.models import User; from accounts.roles import Role; "
    "User.objects.create_user('admin@example.com', 'Admin', Role.ADMIN)"
)


class Node:
    """A sensor program that polls every second."""

    def __init__(self, parts: Parts, directory: Path, recording: Path = SAMPLE) -> None:
        self._recording = recording
        self._parts, self.state = parts, StateDirectory(directory / "state")
        self._log = directory / "sensor.log"
        self._process: subprocess.Popen[bytes] | None = None

    def enrol(self) -> None:
        token = self._parts.manage("enrolment_token", "--environment", "azure:sub-1").splitlines()[-1]
        options = ["--portal", self._parts.url, "--cluster", "hosts", "--distribution", "other", "--node", "n1"]
        env = {**os.environ, "DRIFTWATCH_ENROLMENT_TOKEN": token}
        command = [sys.executable, "-m", "sensor", "enrol", *options, "--state", str(self.state.path)]
        subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, timeout=60)

    def start(self) -> None:
        options = ["--capture", "replay", "--replay", str(self._recording)]
        options += ["--poll-seconds", "1", "--heartbeat-seconds", "1"]
        command = [sys.executable, "-m", "sensor", "run", *options, "--state", str(self.state.path)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, etag: str = "") -> httpx.Response:
        """For its policy, with its own credential, as it would itself."""
        identity = self.state.identity()
        assert identity is not None
        headers = {"Authorization": f"Bearer {identity.credential}"}
        if etag:
            headers["If-None-Match"] = f'"{etag}"'
        return httpx.get(f"{self._parts.url}/api/v1/sensors/me/policy", headers=headers, timeout=20)

    def said(self) -> str:
        """Its log."""
        return self._log.read_text()

    def number(self) -> int:
        """The version that it keeps as applied; 0 before the first."""
        return int(self.payload()["number"]) if self.state.policy() else 0

    def payload(self) -> dict[str, Any]:
        """What was signed."""
        stored = self.state.policy()
        assert stored is not None
        return dict(json.loads(base64.b64decode(stored.bundle.payload)))

    def signer(self) -> str:
        stored = self.state.policy()
        return stored.bundle.key_id if stored else ""

    def keys(self) -> set[str]:
        """Ids of the keys that it accepts by now."""
        stored = self.state.policy()
        return {key.key_id for key in stored.keys} if stored else set()


@pytest.fixture
def parts(directory: Path) -> Iterator[Parts]:
    running = Parts(directory)
    try:
        running.prepare()
        yield running
    finally:
        running.stop()


@pytest.fixture
def node(parts: Parts, tmp_path: Path) -> Iterator[Node]:
    one = Node(parts, tmp_path)
    yield one
    one.stop()


def save(parts: Parts, base: int, action: str) -> None:
    document = {**default_document(), "default": {"action": action}}
    words = ("policy", "import", "--base", f"v{base}", "--user", "admin@example.com", "-")
    parts.manage(*words, given=json.dumps(document))


def test_a_save_during_an_outage_arrives_by_polling_once_the_sweeper_is_back(parts: Parts, node: Node) -> None:
    parts.manage("shell", "-c", MAKE_ADMIN)
    parts.start("web", "gateway", "worker", "beat")
    node.enrol()
    node.start()
    eventually(lambda: node.number() == 1, "version 1 is applied", 30)
    stored = node.state.policy()
    assert stored is not None

    parts.kill("gateway", "worker", "beat", "valkey")
    save(parts, 1, "alert")

    unchanged = node.ask(stored.etag)
    assert (unchanged.status_code, node.number()) == (304, 1)
    assert node.ask().headers["ETag"] == f'"{stored.etag}"'

    parts.start("valkey", "worker", "beat")  # and no gateway: only polls bring it
    eventually(lambda: node.number() == 2, "version 2 is applied", 60)
    assert node.payload()["document"]["default"]["action"] == "alert"


def test_a_sensor_that_missed_a_key_rotation_follows_it(parts: Parts, node: Node) -> None:
    parts.start("web")
    node.enrol()
    node.start()
    eventually(lambda: node.number() == 1, "version 1 is applied", 30)
    old = node.signer()

    new = parts.manage("keys", "add").split()[0]
    eventually(lambda: node.keys() == {old, new}, "the new key is known", 30)
    eventually(lambda: "accepted by 1 of 1" in parts.manage("keys", "list").splitlines()[0], "it says so", 30)
    parts.manage("keys", "promote", new)
    eventually(lambda: node.signer() == new, "the new key signs", 30)
    parts.manage("keys", "retire", old)
    eventually(lambda: node.keys() == {new}, "the old key is forgotten", 30)

    node.stop()
    newest = parts.manage("keys", "add").split()[0]
    parts.manage("keys", "promote", newest, "--force")
    assert node.keys() == {new}
    node.start()
    eventually(lambda: node.keys() == {new, newest}, "a sensor that was away learns of it by the one it knew", 30)
    eventually(lambda: "accepted by 1 of 1" in parts.manage("keys", "list").splitlines()[0], "it says so", 30)

    parts.manage("keys", "retire", new)
    eventually(lambda: (node.signer(), node.keys()) == (newest, {newest}), "the newest alone is left", 30)
    assert node.number() == 1


def test_a_sensor_that_returns_after_its_key_was_retired_keeps_its_policy_until_it_enrols_again(
    parts: Parts, node: Node
) -> None:
    parts.start("web")
    node.enrol()
    node.start()
    eventually(lambda: node.number() == 1, "version 1 is applied", 30)
    old = node.signer()
    node.stop()
    new = parts.manage("keys", "add").split()[0]
    parts.manage("keys", "promote", new, "--force")
    parts.manage("keys", "retire", old, "--force")

    node.start()
    eventually(lambda: "enrol this node again" in node.said(), "it says the way out", 30)
    eventually(lambda: parts.rows("SELECT key_ids FROM fleet_sensorstatus") == [([old],)], "the portal knows", 30)
    assert (node.number(), node.signer()) == (1, old)
    node.stop()

    node.enrol()
    node.start()
    eventually(lambda: node.signer() == new, "the new key signs", 30)
