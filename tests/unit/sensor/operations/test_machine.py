"""Digests of the machine and its boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensor.operations import machine


def test_a_digest_says_which_machine_without_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "product_uuid", tmp_path / "machine-id"
    one.write_text("4C4C4544-0042\n")
    other.write_text("b08dfa6083e7567a1921a715000001fb\n")
    monkeypatch.setattr(machine, "MACHINE_IDS", (one, other))

    first = machine.machine_digest()
    one.unlink()
    second = machine.machine_digest()

    assert len(first) == len(second) == 32
    assert first != second
    assert "4C4C4544" not in first


def test_ids_that_cannot_be_read_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    monkeypatch.setattr(machine, "MACHINE_IDS", (tmp_path / "empty", tmp_path / "binary", tmp_path))
    monkeypatch.setattr(machine, "BOOT_ID", tmp_path / "none")

    assert (machine.machine_digest(), machine.boot_digest()) == ("", "")


def test_a_boot_has_one_digest() -> None:
    assert machine.boot_digest() == machine.boot_digest() != ""
