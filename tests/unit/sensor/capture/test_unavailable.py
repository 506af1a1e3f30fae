"""Where capture cannot run: one clear line, and nothing is loaded before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from sensor.capture import doctor_checks as doctor
from sensor.capture.doctor_checks import probe
from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.kept_files import KeptFiles
from sensor.capture.libbpf import Libbpf
from sensor.commands import doctor as doctor_command
from sensor.commands.doctor import checks as whole_doctor
from sensor.container.runtime_places import RuntimePlace

IMPORT_ALL = """
import ctypes, importlib, pkgutil
def refuse(*_, **__): raise AssertionError("a native library was loaded at import")
ctypes.CDLL = refuse
for package in ("sensor.capture", "sensor.container", "sensor.judgement"):
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(module.name)
"""


def test_no_module_loads_a_native_library_when_it_is_imported() -> None:
    subprocess.run([sys.executable, "-c", IMPORT_ALL], check=True)


def test_missing_root_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CaptureUnavailable, match=r"^eBPF capture needs root$"):
        open_ebpf()


def test_the_doctor_has_advice_for_everything_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    checks = {check.name: check for check in probe()}
    assert not checks["runs as root"].ok
    assert all(check.advice for check in checks.values() if not check.ok)
    assert checks["eBPF capture starts"].advice == "eBPF capture needs root"


def test_the_doctor_continues_where_it_has_no_permission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For example without root on a node where podman and containerd run as root."""
    stat = os.stat

    def refused(path: Any, **how: Any) -> os.stat_result:
        if str(path).startswith(("/var/lib/containers", "/run/containerd", "/run/crio", "/run/k3s")):
            raise PermissionError(path)
        return stat(path, **how)

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "stat", refused)
    # Not those that run on this machine: other tests start and end some.
    elsewhere = RuntimePlace("podman", Path("/var/lib/containers/elsewhere"), source="mount /merged")
    monkeypatch.setattr(doctor_command, "discovered_places", lambda: [elsewhere])
    found = {check.name: check for check in whole_doctor(tmp_path / "none")}
    assert "none found" in found["Kubernetes runtime"].advice
    assert not found["runs as root"].ok
    assert "cannot be reached" in found["Runtime podman"].advice


def test_a_missing_fallback_is_not_an_error_while_ebpf_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example under the delivered DaemonSet, which has no SYS_ADMIN."""

    def refused(**_: object) -> None:
        raise CaptureUnavailable("fanotify capture: not permitted")

    monkeypatch.setattr(doctor, "open_ebpf", lambda **_: Mock(limits=""))
    monkeypatch.setattr(doctor, "open_fanotify", refused)
    check = {check.name: check for check in probe()}["fanotify capture starts"]
    assert (check.ok, "not needed" in check.advice, "not permitted" in check.advice) == (True, True, True)


@pytest.mark.parametrize(("knows_task", "advice"), [(True, ""), (False, "both need Linux 5.11")])
def test_the_doctor_reports_what_an_older_kernel_lacks(
    knows_task: bool, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Linux 5.10 eBPF captures, but cannot record who wrote a file."""
    monkeypatch.setattr(doctor, "open_ebpf", lambda **_: Mock(limits=""))
    monkeypatch.setattr(Libbpf, "__init__", lambda _: None)
    monkeypatch.setattr(Libbpf, "knows_helper", lambda *_: knows_task)
    checks = {check.name: check for check in probe()}
    assert checks["eBPF capture starts"].ok
    assert checks["eBPF reports who wrote a file"].ok
    assert advice in checks["eBPF reports who wrote a file"].advice
    assert bool(advice) == bool(checks["eBPF reports who wrote a file"].advice)


def test_the_doctor_reports_that_files_gone_at_once_have_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the delivered DaemonSet, which has no SYS_ADMIN."""
    monkeypatch.setattr(doctor, "open_ebpf", lambda **_: Mock(limits=""))
    monkeypatch.setattr(KeptFiles, "start", lambda: None)
    check = {check.name: check for check in probe()}["Files that are unlinked as they run are hashed"]
    assert (check.ok, "SYS_ADMIN" in check.advice) == (True, True)


@pytest.mark.parametrize(("inode", "is_said"), [(0xEFFFFFFC, False), (4026532175, True)])
def test_the_doctor_says_where_the_node_is_a_container_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inode: int, is_said: bool
) -> None:
    class Namespace:
        def stat(self) -> os.stat_result:
            return os.stat_result((0, inode, *([0] * 8)))

    monkeypatch.setattr("sensor.operations.machine.PID_NAMESPACE", Namespace())
    found = {check.name: check for check in probe()}
    assert ("Process namespace" in found) == is_said
