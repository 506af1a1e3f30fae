"""The directory of pins, which other programs may use too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sensor.capture import pins
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.kernel_program import build_id, interpreter_finders, possible
from sensor.capture.libbpf import KernelObjects, Libbpf
from sensor.capture.pins import OWN_NAME, Pins, drop_pins
from sensor.capture.programs import MAPS, Mappings, ProgramOptions

BUILD = "0123456789ab-65536"
LINKS = ("exec_link", "write_link")


class PinningLibbpf(Libbpf):
    """Pins to plain files."""

    def __init__(self, refused: str = "") -> None:
        self._refused = refused

    def pin(self, fd: int, path: Path) -> None:
        if path.name == self._refused:
            raise CaptureUnavailable("bpf_obj_pin failed")
        path.touch()

    def pinned(self, path: Path) -> int:
        return path.stat().st_dev


def objects(links: tuple[str, ...]) -> KernelObjects:
    return KernelObjects(dict.fromkeys(MAPS, -1), dict.fromkeys(links, -1))


def test_only_earlier_builds_of_this_program_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "_ensure_bpffs", lambda _: False)
    for name in ("cilium", BUILD, "ba9876543210-65536", "ba9876543210-65536-libraries"):
        (tmp_path / name).mkdir()
    kept = Pins(tmp_path, BUILD)
    kept.keep(PinningLibbpf(), objects(LINKS))
    kept.close(remove=False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [BUILD, "cilium"]
    assert {entry.name for entry in (tmp_path / BUILD).iterdir()} == {*MAPS, *LINKS}


def test_what_another_way_left_attached_is_neither_taken_over_nor_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor tries one way after the other: it must find what an earlier one left in the third."""
    monkeypatch.setattr(pins, "_ensure_bpffs", lambda _: False)
    earlier = Pins(tmp_path, BUILD)
    earlier.keep(PinningLibbpf(), objects(LINKS))
    earlier.close(remove=False)
    now = Pins(tmp_path, BUILD)
    for links in ((*LINKS, "on_open_link"), LINKS[:1], ()):
        assert now.take_over(PinningLibbpf(), links) is None
    taken = now.take_over(PinningLibbpf(), LINKS)
    assert taken is not None
    assert tuple(taken.links) == LINKS
    now.close(remove=False)


def test_programs_that_wait_are_taken_over_whether_attached_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "_ensure_bpffs", lambda _: False)
    waiting = ("on_fault", "on_read_pages")
    earlier = Pins(tmp_path, BUILD)
    programs = {f"{name}_program": -1 for name in waiting}
    earlier.keep(PinningLibbpf(), KernelObjects(dict.fromkeys(MAPS, -1), dict.fromkeys(LINKS, -1), programs))
    for name in waiting:
        earlier.add(PinningLibbpf(), f"{name}_link", -1)
    earlier.remove("on_read_pages_link")
    earlier.close(remove=False)
    now = Pins(tmp_path, BUILD)
    assert now.take_over(PinningLibbpf(), LINKS) is None
    assert now.take_over(PinningLibbpf(), LINKS, waiting[1:]) is None
    taken = now.take_over(PinningLibbpf(), LINKS, waiting)
    assert taken is not None
    assert set(taken.links) == {*LINKS, "on_fault_link"}
    assert set(taken.waiting) == set(programs)
    now.unlink()
    left = {entry.name for entry in (tmp_path / BUILD).iterdir()}
    assert left == {*MAPS, *programs}, "nothing is attached any more"
    now.close(remove=False)


def test_pins_stay_where_nothing_could_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "_ensure_bpffs", lambda _: False)
    for name in (BUILD, "ba9876543210-65536"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "exec_link").touch()
    refused = Pins(tmp_path, BUILD)
    assert refused.take_over(PinningLibbpf(), LINKS) is None
    refused.close(remove=False)
    assert sorted(entry.parent.name for entry in tmp_path.glob("*/exec_link")) == [BUILD, "ba9876543210-65536"]


def test_pins_that_could_not_all_be_made_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "_ensure_bpffs", lambda _: False)
    kept = Pins(tmp_path, BUILD)
    with pytest.raises(CaptureUnavailable):
        kept.keep(PinningLibbpf(refused="exec_link"), objects(LINKS))
    kept.close(remove=False)
    assert list(tmp_path.iterdir()) == []


def test_pins_that_no_sensor_will_read_are_removed_unless_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "_ensure_bpffs", lambda _: False)
    for name in ("cilium", BUILD):
        (tmp_path / name).mkdir()
    other = Pins(tmp_path, BUILD)
    assert not drop_pins(tmp_path)
    other.close(remove=False)
    assert drop_pins(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["cilium"]
    assert not drop_pins(tmp_path)
    assert not drop_pins(tmp_path / "none")


@pytest.mark.parametrize("libraries", [True, False])
def test_the_program_knows_its_own_directories(libraries: bool) -> None:
    assert OWN_NAME.fullmatch(build_id(ProgramOptions(65_536, libraries)))


def test_a_kernel_that_cannot_record_writers_still_captures(caplog: pytest.LogCaptureFixture) -> None:
    """Linux 5.10."""
    wanted = ProgramOptions(65_536, libraries=False)
    finders = (Mappings.LIST,)
    links = possible(wanted, knows_task=True, mappings=finders).programs()
    assert tuple(links) == ("list_link", "fork_link", "exit_link", "exec_link", "keep_link", "write_link")
    assert "Events lack the process that wrote a file" not in caplog.text
    least = possible(wanted, knows_task=False, mappings=finders).programs()
    assert tuple(least) == ("list_link", "fork_link", "exit_link", "exec_link", "keep_link")
    assert "Events lack the process that wrote a file" in caplog.text


class Kernel:
    """What libbpf reports of a kernel."""

    def __init__(self, *, finds: bool) -> None:
        self._finds = finds

    def knows_helper(self, number: int) -> bool:
        return self._finds


@pytest.mark.parametrize(
    ("kernel", "finders"),
    [
        pytest.param(Kernel(finds=True), (Mappings.START,), id="5.17"),
        pytest.param(Kernel(finds=False), (Mappings.LIST,), id="5.10"),
    ],
)
def test_a_program_interpreter_is_found_by_what_the_kernel_has(kernel: Any, finders: tuple[Mappings, ...]) -> None:
    assert interpreter_finders(kernel) == finders


def test_a_kernel_that_cannot_monitor_libraries_reports_what_it_lacks() -> None:
    with pytest.raises(CaptureUnavailable, match=r"needs Linux 5\.11"):
        possible(ProgramOptions(65_536, libraries=True), knows_task=False, mappings=())


def test_the_system_s_bpffs_is_not_taken_for_the_sensor_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "_covering_mount", lambda directory: (bytes(directory), b"bpf"))
    monkeypatch.setattr(pins, "SYSTEM", tmp_path)
    assert pins._ensure_bpffs(tmp_path) is False


def test_in_the_system_s_bpffs_the_pins_get_a_directory_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "_covering_mount", lambda _: (bytes(tmp_path), b"bpf"))
    monkeypatch.setattr(pins, "SYSTEM", tmp_path)
    (tmp_path / BUILD).mkdir()
    Pins(tmp_path, "ba9876543210-65536").close(remove=False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [BUILD, "driftwatch"]
