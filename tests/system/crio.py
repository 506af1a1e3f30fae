"""A real CRI-O for tests: the one that TEST_CRIO names, with its `pinns` beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.container.crio import CrioRuntime
from sensor.container.podman import PodmanRuntime
from tests.system import podman
from tests.system.node import Node

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = os.environ.get("TEST_CRIO", "")
CONFIG = """\
[crio]
root = "{directory}/storage"
runroot = "{directory}/run"
storage_driver = "overlay"
log_dir = "{directory}/logs"
version_file = "{directory}/version"
version_file_persist = ""
clean_shutdown_file = "{directory}/clean"
[crio.api]
listen = "{directory}/crio.sock"
[crio.image]
pause_image = "{sandbox}"
pause_command = ""
signature_policy = "{directory}/policy.json"
[crio.runtime]
default_runtime = "runc"
cgroup_manager = "{cgroups}"
pinns_path = "{pinns}"
namespaces_dir = "{directory}/namespaces"
container_exits_dir = "{directory}/exits"
container_attach_socket_dir = "{directory}/attach"
hooks_dir = ["{directory}/hooks"]
apparmor_profile = ""
irqbalance_config_file = "{directory}/irqbalance"
irqbalance_config_restore_file = "disable"
[crio.runtime.runtimes.runc]
runtime_path = "{runc}"
runtime_root = "{directory}/runc"
monitor_path = "{conmon}"
monitor_cgroup = "{monitor}"
[crio.network]
network_dir = "{directory}/cni"
plugin_dirs = ["{directory}/plugins"]
[crio.nri]
enable_nri = false
"""
ANY_IMAGE = {"default": [{"type": "insecureAcceptAnything"}]}


class Crio(Node):
    """One CRI-O of its own, on a containers/storage of its own."""

    name = "cri-o"

    @staticmethod
    def unusable() -> str:
        missing = [program for program in (PROGRAM, "conmon") if shutil.which(program) is None]
        return podman.unusable() or (f"CRI-O's tests need {' and '.join(missing)}" if missing else "")

    @property
    def socket(self) -> Path:
        return self.directory / "crio.sock"

    @staticmethod
    def seen(directory: Path) -> CrioRuntime:
        storage = PodmanRuntime(directory / "storage")
        return CrioRuntime(directory / "crio.sock", storage=storage, bundles=directory / "run/overlay-containers")

    def _command(self) -> Sequence[str]:
        (self.directory / "policy.json").write_text(json.dumps(ANY_IMAGE))
        config = self.directory / "crio.conf"
        programs = {name: shutil.which(name) for name in ("runc", "conmon")}
        cgroups = {"cgroups": "systemd", "monitor": "system.slice"}
        if not podman.has_systemd():
            cgroups = {"cgroups": "cgroupfs", "monitor": "pod"}
        own = {"directory": self.directory, "sandbox": self._sandbox, "pinns": Path(PROGRAM).with_name("pinns")}
        config.write_text(CONFIG.format(**own, **programs, **cgroups))
        return [PROGRAM, "--config", str(config), "--config-dir", ""]

    def pull(self, reference: str) -> None:
        self._podman("load", "--quiet", "--input", str(self._saved(reference)))

    def _podman(self, *arguments: str) -> None:
        """On CRI-O's storage."""
        places = ["--root", str(self.directory / "storage"), "--runroot", str(self.directory / "run")]
        self._images.command(*places, "--storage-driver", "overlay", *arguments)

    def own_layer(self, container_id: str) -> Path:
        """CRI-O mounts it when the container is made."""
        entries = json.loads((self.directory / "storage/overlay-containers/volatile-containers.json").read_text())
        layer: str = next(entry["layer"] for entry in entries if entry["id"] == container_id)
        return self.directory / "storage/overlay" / layer / "merged"

    def pid(self, container_id: str) -> int:
        return int((self.directory / "run/overlay-containers" / container_id / "userdata/pidfile").read_text())

    def close(self) -> None:
        """Its storage is mounted on itself."""
        try:
            super().close()
        finally:
            subprocess.run(["umount", "--lazy", self.directory / "storage/overlay"], check=False, capture_output=True)
