"""A node whose processes have a pid namespace of their own, as in kind: pids are the node's, files are hashed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from tests.system import needs

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
NODE = """
import json, sys
from pathlib import Path

from sensor.capture.doctor_checks import probe
from sensor.capture.ebpf import open_ebpf
from sensor.container.runtimes import runtimes_of_node
from tests.system.capture.bed import Collector
from tests.system.podman import Podman

directory = Path(sys.argv[1])
podman = Podman(directory, ["--root", f"{directory}/boxes", "--runroot", f"{directory}/run"])
collector = Collector(open_ebpf(runtimes=runtimes_of_node(), ring_bytes=1024 * 1024))
seen = []
try:
    name = podman.run(podman.image("app"))
    podman.shell(name, "cat /bin/busybox > /tmp/busybox-new; chmod +x /tmp/busybox-new; "
                 "/tmp/busybox-new sleep 2 & echo $! > /tmp/pid; wait; /tmp/busybox-new true end")
    collector.until("", lambda event: seen.append(event) or event.process.argv[-1:] == ["end"])
    event = next(event for event in seen if event.process.argv[-1:] == ["2"])
    first = podman.pid(name)
finally:
    collector.close()
    podman.close()
checks = {check.name: check.advice for check in probe()}
print(json.dumps({"pid": event.process.pid, "hash": event.process.hash_status, "kind": event.kind,
                  "name": event.container.name, "expected": name, "identity": event.identity,
                  "parent": event.process.parent and event.process.parent.pid,
                  "first": first, "doctor": checks.get("Process namespace", "")}))
"""


def test_pids_are_the_node_s_and_files_are_hashed(tmp_path_factory: pytest.TempPathFactory) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    try:
        open_ebpf(ring_bytes=64 * 1024).close()
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    with needs.podman_in(tmp_path_factory.mktemp("podman")):
        directory = tmp_path_factory.mktemp("nested")
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", NODE, str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    seen: dict[str, Any] = json.loads(done.stdout)
    assert (seen["kind"], seen["hash"], seen["identity"]) == ("copy_of_image_file", "ok", "complete")
    assert seen["name"] == seen["expected"]
    # Of few processes: those of the machine around it are numbered far beyond.
    assert 0 < seen["first"] < seen["pid"] < 1_000
    assert 0 < seen["parent"] < 1_000
    assert "nested" in seen["doctor"]
