"""The folder of pins, which others may use as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensor.capture import pins
from sensor.capture.kernel import build_id
from sensor.capture.libbpf import Options
from sensor.capture.pins import OWN_NAME, Pins

BUILD = "0123456789ab-65536"


def test_only_earlier_builds_of_this_program_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "_ensure_bpffs", lambda _: False)
    for name in ("cilium", BUILD, "ba9876543210-65536", "ba9876543210-65536-libraries"):
        (tmp_path / name).mkdir()
    Pins(tmp_path, BUILD, ("exec_link",)).close(remove=False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [BUILD, "cilium"]


@pytest.mark.parametrize("libraries", [True, False])
def test_the_program_knows_its_own_folders(libraries: bool) -> None:
    assert OWN_NAME.fullmatch(build_id(Options(65_536, libraries)))


def test_the_system_s_bpffs_is_not_taken_for_an_own_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "_mount_of", lambda folder: (bytes(folder), b"bpf"))
    monkeypatch.setattr(pins, "SYSTEM", tmp_path)
    assert pins._ensure_bpffs(tmp_path) is False


def test_in_the_system_s_bpffs_the_pins_get_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "_mount_of", lambda _: (bytes(tmp_path), b"bpf"))
    monkeypatch.setattr(pins, "SYSTEM", tmp_path)
    (tmp_path / BUILD).mkdir()
    Pins(tmp_path, "ba9876543210-65536", ("exec_link",)).close(remove=False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [BUILD, "driftwatch"]
