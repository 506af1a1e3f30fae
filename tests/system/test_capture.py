"""What eBPF capture catches and what it leaves quiet, on real podman containers."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.base import CaptureUnavailable
from sensor.capture.ebpf import EbpfCapture, open_ebpf
from tests.system.podman import BUSYBOX, Podman, unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.wire import Event

pytestmark = pytest.mark.container

TOOLS = Path(__file__).with_name("tools")
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
LIBC = Path("/lib/x86_64-linux-gnu/libc.so.6")
SENTINEL = "/tmp/busybox-sentinel"
PATIENCE = 10.0
"""Seconds until an exec that never shows up fails the test."""


class Collector:
    """Reads and commits all the time, as the agent does; keeps every event in order."""

    def __init__(self, capture: EbpfCapture) -> None:
        self._capture = capture
        self._events: list[Event] = []
        self._news = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def _collect(self) -> None:
        while not self._stopping:
            batch = self._capture.read(0.1)
            self._capture.commit()
            with self._news:
                self._events += batch
                self._news.notify_all()

    def until(self, container: str, last: Callable[[Event], bool]) -> list[Event]:
        """A container's events up to one, which is left out; those of it, and all before, are taken off."""
        with self._news:
            found = self._news.wait_for(lambda: any(map(last, self._events)), PATIENCE)
            assert found, f"the last exec was not seen; so far: {self._events}"
            end = next(index for index, event in enumerate(self._events) if last(event))
            taken, self._events = self._events[:end], self._events[end + 1 :]
        return [event for event in taken if event.container.id == container]

    def close(self) -> None:
        self._stopping = True
        self._thread.join()
        self._capture.close()


class Watch:
    """One container and the drift seen in it."""

    def __init__(self, podman: Podman, collector: Collector, name: str) -> None:
        self.podman = podman
        self.name = name
        self.id = podman.id(name)
        self._collector = collector
        self._numbers = itertools.count()
        podman.cp(_altered_busybox(podman), name, SENTINEL)

    def drift(self, script: str) -> list[Event]:
        """Run a shell script in the container; returns the drift that it caused, in order."""
        number = f"{self.id}-{next(self._numbers)}"
        self.podman.shell(self.name, f"{script}\n{SENTINEL} true {number}", check=False)
        return self._collector.until(self.id, lambda event: event.process.argv[-1] == number)

    def only(self, script: str) -> Event:
        """The one drift event that a script causes."""
        events = self.drift(script)
        assert len(events) == 1, [(event.kind, event.process.path) for event in events]
        return events[0]


def _altered_busybox(podman: Podman) -> Path:
    """Busybox with another content: a program that is in no image."""
    path = podman.folder / "busybox-altered"
    if not path.exists():
        path.write_bytes(BUSYBOX.read_bytes() + b"\0")
        path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    reason = unusable()
    if reason:
        pytest.skip(reason)
    with Podman(tmp_path_factory.mktemp("podman")) as bed:
        yield bed


def started(pin_dir: Path | None = None, *, keep_pins: bool = False, libraries: bool = False) -> EbpfCapture:
    try:
        return open_ebpf(pin_dir=pin_dir, keep_pins=keep_pins, libraries=libraries)
    except CaptureUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def capture() -> Iterator[Collector]:
    collector = Collector(started())
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = next(filter(None, map(shutil.which, ("clang-14", "gcc", "cc"))), None)
    if compiler is None:
        pytest.skip("needs a C compiler (clang-14)")
    program = tmp_path_factory.mktemp("tools") / "run"
    subprocess.run([compiler, "-static", "-O1", "-o", program, TOOLS / "run.c"], check=True)
    return program


@pytest.fixture(scope="module")
def image(podman: Podman, runner: Path) -> str:
    return podman.image(
        "shop/app:1.2",
        {
            "/opt/entry.sh": "#!/bin/sh\nexit 0\n",
            "/usr/bin/tool": "-> ../../bin/busybox",
            "/usr/bin/run": runner,
            "/usr/bin/victim": runner,
            "/lib64/ld-linux-x86-64.so.2": LOADER,
            "/lib/x86_64-linux-gnu/libc.so.6": LIBC,
            "/usr/bin/dynamic": Path("/usr/bin/true"),
        },
    )


@pytest.fixture(scope="module")
def box(podman: Podman, capture: Collector, image: str, tmp_path_factory: pytest.TempPathFactory) -> Watch:
    volume = tmp_path_factory.mktemp("volume")
    return Watch(podman, capture, podman.run(image, volumes=[f"{volume}:/data"], tmpfs=["/scratch:exec"]))


@pytest.fixture(scope="module")
def privileged(podman: Podman, capture: Collector, image: str) -> Watch:
    return Watch(podman, capture, podman.run(image, options=["--privileged"], tmpfs=["/scratch:exec"]))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestCaught:
    def test_a_binary_copied_in_is_new_with_all_its_facts(self, box: Watch, podman: Podman, image: str) -> None:
        podman.cp(_altered_busybox(podman), box.name, "/tmp/busybox-miner")
        event = box.only("cd /tmp; sh -c './busybox-miner true -o pool; true'")
        process = event.process
        assert (event.kind, event.mode, event.identity, event.decision) == ("new_file", "exec", "complete", None)
        assert (process.name, process.path) == ("busybox-miner", "/tmp/busybox-miner")
        assert (process.argv, process.argv_truncated) == (["./busybox-miner", "true", "-o", "pool"], False)
        assert (process.cwd, process.uid) == ("/tmp", 0)
        assert (process.sha256, process.hash_status) == (sha256(_altered_busybox(podman)), "ok")
        assert process.size == _altered_busybox(podman).stat().st_size
        assert process.parent is not None
        assert (process.parent.name, process.parent.path) == ("busybox", "/bin/busybox")
        assert process.ancestors[0].name == "sh"
        container = event.container
        assert (container.id, container.name, container.runtime) == (box.id, box.name, "podman")
        assert container.image_name == image
        assert (container.image_digest or "").startswith("sha256:")
        assert (container.namespace, container.pod_name) == (None, None)

    def test_a_file_written_and_made_executable_is_new(self, box: Watch) -> None:
        event = box.only(
            "cat /bin/busybox > /tmp/busybox-a; echo >> /tmp/busybox-a; chmod +x /tmp/busybox-a; /tmp/busybox-a true"
        )
        assert (event.kind, event.process.path) == ("new_file", "/tmp/busybox-a")

    def test_an_image_file_replaced_in_place_is_replaced(self, box: Watch) -> None:
        event = box.only("cp /tmp/busybox-sentinel /usr/bin/victim; /usr/bin/victim")
        assert (event.kind, event.process.path) == ("replaced", "/usr/bin/victim")

    def test_a_file_moved_over_an_image_file_is_replaced(self, privileged: Watch) -> None:
        event = privileged.only("cp /tmp/busybox-sentinel /tmp/x; mv /tmp/x /usr/bin/victim; /usr/bin/victim")
        assert (event.kind, event.process.path) == ("replaced", "/usr/bin/victim")

    @pytest.mark.parametrize("make", ["cp", "ln"])
    def test_an_image_file_under_another_name_is_a_copy_and_says_of_what(self, box: Watch, make: str) -> None:
        event = box.only(f"{make} /bin/busybox /tmp/busybox-{make}; /tmp/busybox-{make} true")
        assert (event.kind, event.process.path) == ("copy_of_image_file", f"/tmp/busybox-{make}")
        assert event.process.copy_of == "/bin/busybox"

    def test_a_memfd_is_fileless(self, box: Watch) -> None:
        event = box.only("run memfd /bin/busybox sleep 0.2")
        assert (event.kind, event.process.path, event.process.name) == ("fileless", "/memfd:payload", "memfd:payload")
        assert event.process.argv == ["/bin/busybox", "sleep", "0.2"]
        assert event.process.sha256 == sha256(BUSYBOX)

    def test_a_deleted_executable_keeps_its_kind_and_path(self, box: Watch) -> None:
        event = box.only("cp /tmp/busybox-sentinel /tmp/busybox-gone; run deleted /tmp/busybox-gone sleep 0.2")
        assert (event.kind, event.process.path) == ("new_file", "/tmp/busybox-gone")
        assert event.process.hash_status == "ok"

    @pytest.mark.parametrize("folder", ["/data", "/scratch"])
    def test_a_file_on_a_volume_of_the_runtime_is_a_volume_s(self, box: Watch, folder: str) -> None:
        event = box.only(f"cp /bin/busybox {folder}/busybox-v; {folder}/busybox-v true")
        assert (event.kind, event.process.path) == ("volume", f"{folder}/busybox-v")
        assert event.process.sha256 == sha256(BUSYBOX)

    def test_a_dropped_script_is_a_script_run_by_its_interpreter(self, box: Watch) -> None:
        event = box.only("printf '#!/bin/sh\\nexit 0\\n' > /tmp/drop.sh; chmod +x /tmp/drop.sh; cd /tmp; ./drop.sh now")
        assert (event.kind, event.process.path, event.process.via) == ("script", "/tmp/drop.sh", "/bin/busybox")
        assert event.process.sha256 == hashlib.sha256(b"#!/bin/sh\nexit 0\n").hexdigest()
        assert event.process.argv == ["/bin/sh", "./drop.sh", "now"]

    def test_a_program_given_to_the_loader_is_the_loader_s(self, box: Watch) -> None:
        event = box.only("cp /usr/bin/dynamic /tmp/m; ld=/lib64/ld-linux-x86-64.so.2; $ld --argv0 ls /tmp/m")
        assert (event.kind, event.process.path) == ("loader", "/tmp/m")
        assert event.process.via == "/lib64/ld-linux-x86-64.so.2"


class TestCaughtInAPrivilegedContainer:
    def test_a_file_on_an_own_tmpfs_is_on_a_foreign_mount(self, privileged: Watch) -> None:
        event = privileged.only(
            "mkdir /mnt; mount -t tmpfs x /mnt; cp /bin/busybox /mnt/busybox-t; /mnt/busybox-t true"
        )
        assert (event.kind, event.process.path) == ("foreign_mount", "/mnt/busybox-t")

    def test_a_tmpfs_over_the_runtime_s_volume_is_foreign_too(self, privileged: Watch) -> None:
        event = privileged.only(
            "mount -t tmpfs x /scratch; cp /bin/busybox /scratch/busybox-o; /scratch/busybox-o true; umount /scratch"
        )
        assert (event.kind, event.process.path) == ("foreign_mount", "/scratch/busybox-o")

    def test_a_file_mounted_over_an_image_file_is_foreign(self, privileged: Watch) -> None:
        script = "cp /tmp/busybox-sentinel /tmp/y; mount --bind /tmp/y /usr/bin/run; /usr/bin/run; umount /usr/bin/run"
        event = privileged.only(script)
        assert (event.kind, event.process.path) == ("foreign_mount", "/usr/bin/run")

    def test_an_own_overlay_as_root_is_not_taken_for_the_image(self, privileged: Watch) -> None:
        events = privileged.drift(
            "mkdir -p /scratch/u /scratch/w /scratch/r; cp /tmp/busybox-sentinel /scratch/u/evil;"
            "mount -t overlay o -o lowerdir=/,upperdir=/scratch/u,workdir=/scratch/w /scratch/r;"
            "chroot /scratch/r /bin/busybox true; chroot /scratch/r /evil; umount /scratch/r"
        )
        assert [event.kind for event in events] == ["foreign_mount", "foreign_mount"]
        assert events[1].process.path == "/scratch/r/evil"

    def test_a_mount_namespace_of_its_own_hides_nothing(self, privileged: Watch) -> None:
        event = privileged.only("cp /bin/busybox /tmp/busybox-ns; unshare -m /bin/sh -c '/tmp/busybox-ns true; true'")
        assert (event.kind, event.process.path) == ("copy_of_image_file", "/tmp/busybox-ns")


class TestQuiet:
    @pytest.mark.parametrize(
        "script",
        [
            pytest.param("ls / >/dev/null; cat /etc/hosts; id", id="image binaries"),
            pytest.param("/opt/entry.sh; cd /opt; ./entry.sh", id="an image script"),
            pytest.param("/usr/bin/tool true; tool ls", id="a symlink to an image binary"),
            pytest.param("ln -s /bin/busybox /tmp/busybox-l; /tmp/busybox-l true", id="a new symlink to one"),
            pytest.param("touch /bin/busybox; ls /", id="a touched image binary"),
            pytest.param("chmod 700 /bin/busybox; ls /", id="an image binary with another mode"),
            pytest.param("touch /opt/entry.sh; /opt/entry.sh", id="a touched image script"),
            pytest.param("/lib64/ld-linux-x86-64.so.2 /usr/bin/dynamic", id="an image binary by the loader"),
        ],
    )
    def test_what_is_from_the_image_is_quiet(self, box: Watch, script: str) -> None:
        assert box.drift(script) == []

    def test_the_runtime_s_own_init_is_quiet(
        self, podman: Podman, capture: Collector, image: str, runner: Path
    ) -> None:
        name = podman.run(image, options=["--init", f"--init-path={runner}"])
        assert b"/run/podman-init" in podman.exec(name, "cat", "/proc/mounts").stdout
        assert Watch(podman, capture, name).drift("true") == []


class TestHostileInput:
    def test_five_hundred_execs_with_random_bytes_lose_nothing(self, box: Watch) -> None:
        dice = random.Random(7)
        words = ["".join(f"\\{dice.randrange(1, 256):03o}" for _ in range(dice.randrange(1, 40))) for _ in range(500)]
        box.podman.shell(box.name, "cp /bin/busybox /tmp/busybox-h")
        script = "\n".join(f"/tmp/busybox-h true \"$(printf '{word}')\"" for word in words)
        events = box.drift(script)
        assert len(events) == 500
        assert all(event.process.argv[:2] == ["/tmp/busybox-h", "true"] for event in events)
        assert len({event.event_id for event in events}) == 500

    def test_a_file_name_that_is_no_utf8_is_escaped(self, box: Watch) -> None:
        event = box.only('f=$(printf \'/tmp/busybox-\\377\\n\'x); cp /bin/busybox "$f"; "$f" true')
        assert event.process.path == "/tmp/busybox-\\xff\nx"

    def test_a_name_that_ends_like_a_deleted_file_s_is_still_judged(self, box: Watch) -> None:
        name = "/opt/entry.sh (deleted)"
        event = box.only(f"printf '#!/bin/sh\\n' > '{name}'; chmod +x '{name}'; '{name}'")
        assert (event.kind, event.process.path) == ("script", name)

    def test_an_argv_too_long_is_cut_and_says_so(self, box: Watch) -> None:
        event = box.only("cp /bin/busybox /tmp/busybox-long; /tmp/busybox-long true $(printf '%05000d' 7) end")
        assert event.process.argv_truncated
        assert event.process.argv[:2] == ["/tmp/busybox-long", "true"]

    def test_a_path_too_deep_is_shown_from_its_end(self, box: Watch) -> None:
        deep = "/tmp" + "/d" * 150
        event = box.only(f"mkdir -p {deep}; cp /tmp/busybox-sentinel {deep}/deep; {deep}/deep true")
        assert (event.kind, event.process.name) == ("new_file", "deep")
        assert event.process.path.startswith("/…/d/")


class TestShortLives:
    def test_a_container_that_lives_for_a_moment_is_attributed(
        self, podman: Podman, capture: Collector, box: Watch
    ) -> None:
        image = podman.image(
            "brief:1", {"/go": "#!/bin/sh\ncp /bin/busybox /tmp/busybox-x; exec /tmp/busybox-x true\n"}
        )
        name = podman.run(image, "/go", detach=False)
        podman.exec(box.name, SENTINEL, "true", name)
        events = capture.until(podman.id(name), lambda event: event.process.argv[-1] == name)
        assert (events[0].kind, events[0].identity) == ("copy_of_image_file", "complete")
        assert events[0].container.image_name == image


@pytest.fixture(scope="module")
def library_box(podman: Podman, image: str) -> Iterator[Watch]:
    collector = Collector(started(libraries=True))
    yield Watch(podman, collector, podman.run(image))
    collector.close()


class TestLibraries:
    def test_a_dropped_library_is_caught_when_it_is_preloaded(self, library_box: Watch) -> None:
        make = "cat /lib/x86_64-linux-gnu/libc.so.6 > /tmp/evil.so; echo >> /tmp/evil.so; cd /tmp"
        event = library_box.only(f"{make}; LD_PRELOAD=/tmp/evil.so /usr/bin/dynamic arg")
        assert (event.kind, event.process.path) == ("library", "/tmp/evil.so")
        assert event.process.via == "/usr/bin/dynamic"
        assert (event.process.argv, event.process.hash_status) == (["/usr/bin/dynamic", "arg"], "ok")

    def test_libraries_of_the_image_are_quiet(self, library_box: Watch) -> None:
        assert library_box.drift("touch /lib/x86_64-linux-gnu/libc.so.6; /usr/bin/dynamic; ls /") == []

    def test_a_program_that_the_loader_maps_is_reported_once(self, library_box: Watch) -> None:
        assert library_box.only("cp /usr/bin/dynamic /tmp/m; /lib64/ld-linux-x86-64.so.2 /tmp/m").kind == "loader"


class TestAcrossRestarts:
    @pytest.fixture
    def pins(self, tmp_path: Path) -> Iterator[Path]:
        yield tmp_path / "pins"
        started(tmp_path / "pins").close()

    def test_execs_while_no_sensor_ran_are_read_afterwards(self, podman: Podman, image: str, pins: Path) -> None:
        name = podman.run(image)
        podman.cp(_altered_busybox(podman), name, SENTINEL)
        started(pins, keep_pins=True).close()
        podman.shell(name, f"for i in $(seq 100); do {SENTINEL} true away; done; {SENTINEL} true {name}")
        after = Collector(started(pins))
        events = after.until(podman.id(name), lambda event: event.process.argv[-1] == name)
        after.close()
        assert sum(event.process.argv[-1] == "away" for event in events) == 100
        assert not pins.exists()

    def test_what_was_not_committed_is_read_again_as_it_was(self, podman: Podman, image: str, pins: Path) -> None:
        name = podman.run(image)
        podman.cp(_altered_busybox(podman), name, SENTINEL)
        first = started(pins, keep_pins=True)
        podman.exec(name, SENTINEL, "true")
        read = [event for event in first.read(PATIENCE) if event.container.name == name]
        first.close()
        second = started(pins)
        again = [event for event in second.read(PATIENCE) if event.container.name == name]
        second.close()
        assert read
        assert again == read

    def test_pins_in_the_system_s_place_leave_nothing_behind(self) -> None:
        pins = Path(f"/sys/fs/bpf/driftwatch-test-{os.getpid()}")
        capture = started(pins, keep_pins=True)
        capture.close()
        assert [entry.name for build in pins.iterdir() for entry in build.iterdir() if entry.name == "exec_link"] == [
            "exec_link"
        ]
        started(pins).close()
        assert not pins.exists()

    def test_two_sensors_do_not_share_pins(self, pins: Path) -> None:
        first = started(pins)
        try:
            with pytest.raises(CaptureUnavailable, match="another sensor"):
                open_ebpf(pin_dir=pins)
        finally:
            first.close()
