"""Where capture can't run: one clear line, and nothing loaded before it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sensor.capture.base import CaptureUnavailable
from sensor.capture.ebpf import open_ebpf
from sensor.capture.probe import probe

IMPORT_ALL = """
import ctypes, importlib, pkgutil
def refuse(*_, **__): raise AssertionError("a native library was loaded at import")
ctypes.CDLL = refuse
for package in ("sensor.capture", "sensor.container", "sensor.layers"):
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(module.name)
"""


def test_no_module_loads_a_native_library_when_it_is_imported() -> None:
    subprocess.run([sys.executable, "-c", IMPORT_ALL], check=True)


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CaptureUnavailable, match=r"^eBPF capture needs root$"):
        open_ebpf()


def test_the_doctor_has_advice_for_all_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    checks = {check.name: check for check in probe()}
    assert not checks["runs as root"].ok
    assert all(check.advice for check in checks.values() if not check.ok)
    assert checks["eBPF capture starts"].advice == "eBPF capture needs root"
