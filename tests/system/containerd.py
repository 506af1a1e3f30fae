"""A real containerd with Kubernetes' CRI for tests: the one that is installed, or that TEST_CONTAINERD names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.container.containerd import ContainerdRuntime
from tests.system import podman
from tests.system.node import Node

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = os.environ.get("TEST_CONTAINERD", "containerd")
"""With its `ctr` and its shim beside it."""
CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{state}/containerd.sock"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = {systemd}
"""


def _ctr() -> str:
    return str(Path(PROGRAM).with_name("ctr"))


class Containerd(Node):
    """One containerd of its own."""

    name = "containerd"
    snapshotter = "overlayfs"

    @staticmethod
    def unusable() -> str:
        missing = [program for program in (PROGRAM, _ctr()) if shutil.which(program) is None]
        return podman.unusable() or (f"pod tests need {' and '.join(missing)}" if missing else "")

    @property
    def socket(self) -> Path:
        return self.directory / "state/containerd.sock"

    @staticmethod
    def seen(directory: Path) -> ContainerdRuntime:
        return ContainerdRuntime(directory / "state/containerd.sock")

    def _command(self) -> Sequence[str]:
        config = self.directory / "config.toml"
        places = {"root": self.directory / "root", "state": self.socket.parent, "sandbox": self._sandbox}
        places["snapshotter"] = self.snapshotter
        config.write_text(CONFIG.format(**places, systemd=str(podman.has_systemd()).lower()))
        beside = Path(shutil.which(PROGRAM) or PROGRAM).parent
        return ["env", f"PATH={beside}:{os.environ['PATH']}", PROGRAM, "--config", str(config)]

    def pull(self, reference: str) -> None:
        self._ctr("images", "import", str(self._saved(reference)))
        listed = self._ctr("images", "list", f"name=={reference}").splitlines()[1].split()
        self._ctr("images", "tag", reference, f"{reference.rpartition(':')[0]}@{listed[2]}")

    def _ctr(self, *arguments: str) -> str:
        command = [_ctr(), "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=60, text=True).stdout

    def own_layer(self, container_id: str) -> Path:
        """Nothing is mounted before the start."""
        said = self._ctr("snapshots", "mounts", "/nowhere", container_id)
        return Path(said.partition("upperdir=")[2].partition(",")[0])

    def pid(self, container_id: str) -> int:
        tasks = self.socket.parent / "io.containerd.runtime.v2.task/k8s.io"
        return int((tasks / container_id / "init.pid").read_text())
