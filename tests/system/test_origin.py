"""Where drift comes from, on real podman containers: who wrote it, and what scripts, loaders and interpreters run."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.ebpf import EbpfCapture, open_ebpf
from sensor.capture.errors import CaptureUnavailable
from tests.system import needs
from tests.system.podman import BUSYBOX, Podman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.wire import Event

pytestmark = pytest.mark.container

LD = "/lib64/ld-linux-x86-64.so.2"
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
SENTINEL = "/tmp/busybox-sentinel"
PATIENCE = 30.0
"""Seconds until an exec that never shows up fails the test."""


class Watch:
    """One container and the drift seen in it, read while it happens as the agent does."""

    numbers = itertools.count()

    def __init__(self, podman: Podman, capture: EbpfCapture, name: str) -> None:
        self._podman, self._capture, self.name = podman, capture, name
        self.id = podman.id(name)
        altered = podman.directory / "busybox-altered"
        altered.write_bytes(BUSYBOX.read_bytes() + b"\0")
        altered.chmod(0o755)
        podman.cp(altered, name, SENTINEL)

    def drift(self, script: str) -> list[Event]:
        """Run a shell script in the container; returns the drift that it caused, in order."""
        last = f"{self.id}-{next(self.numbers)}"
        whole = f"{script}\n{SENTINEL} true {last}"
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self._podman.shell, self.name, whole, check=False)
            events = self._until(last)
            running.result()
        return [event for event in events if event.container.id == self.id]

    def _until(self, last: str) -> list[Event]:
        events: list[Event] = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            events += self._capture.read(0.1)
            self._capture.commit()
            if events and events[-1].process.argv[-1] == last:
                return events[:-1]
        pytest.fail(f"the last exec was not seen; so far: {events}")

    def only(self, script: str) -> Event:
        """The one drift event that a script causes."""
        events = self.drift(script)
        assert len(events) == 1, [(event.kind, event.process.path) for event in events]
        return events[0]


@pytest.fixture(scope="module")
def capture() -> Iterator[EbpfCapture]:
    try:
        capture = open_ebpf()
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    yield capture
    capture.close()


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    files: dict[str, str | Path] = {
        "/opt/entry.sh": "#!/bin/sh\nexit 0\n",
        "/usr/bin/run": needs.tool(tmp_path_factory.mktemp("tools") / "run"),
        LD: Path(LD),
        LIBC: Path(LIBC),
        "/usr/bin/dynamic": Path("/usr/bin/true"),
        "/jail/bin/sh": BUSYBOX,
        "/jail/opt/s.sh": "#!/bin/sh\nexit 0\n",
    }
    return podman.image("shop/origin:1", files)


@pytest.fixture(scope="module")
def box(podman: Podman, capture: EbpfCapture, image: str, tmp_path_factory: pytest.TempPathFactory) -> Watch:
    volume = tmp_path_factory.mktemp("volume")
    return Watch(podman, capture, podman.run(image, volumes=[f"{volume}:/data"], tmpfs=["/scratch:exec"]))


class TestWriter:
    @pytest.mark.parametrize("directory", ["/tmp", "/data"])
    def test_is_the_program_with_its_parent_and_the_time(self, box: Watch, directory: str) -> None:
        event = box.only(f"sh -c 'cp /bin/busybox {directory}/busybox-w; true'; {directory}/busybox-w true")
        writer = event.process.written_by
        assert writer is not None
        assert (writer.name, writer.path) == ("busybox", "/bin/busybox")
        assert writer.parent is not None
        assert writer.parent.name == "busybox"  # the program of `sh`: a process may give itself any name
        assert writer.at <= event.observed_at

    def test_is_the_last_one_whatever_is_done_to_its_mode_and_times_afterwards(self, box: Watch) -> None:
        script = (
            "cp /bin/busybox /tmp/busybox-l; sh -c 'echo >> /tmp/busybox-l; exit 0';"
            "chmod 711 /tmp/busybox-l; touch -d 2020-01-01 /tmp/busybox-l; mv /tmp/busybox-l /tmp/busybox-m;"
            "cat /tmp/busybox-m > /dev/null; /tmp/busybox-m true"
        )
        event = box.only(script)
        writer, parent = event.process.written_by, event.process.parent
        assert writer is not None
        assert writer.parent is not None
        assert parent is not None
        # Of the shell's own child, not of chmod, touch, mv or cat.
        assert (writer.name, writer.parent.pid) == ("busybox", parent.pid)
        assert writer.at < event.observed_at

    def test_is_reported_for_scripts_and_replaced_image_files_too(self, box: Watch) -> None:
        events = box.drift(
            f"printf '#!/bin/sh\\n' > /tmp/w.sh; chmod +x /tmp/w.sh; /tmp/w.sh;cp {SENTINEL} /usr/bin/run; /usr/bin/run"
        )
        assert [event.kind for event in events] == ["script", "replaced"]
        assert all(event.process.written_by is not None for event in events)

    def test_on_a_tmpfs_is_seen_once_the_clock_has_ticked(self, box: Watch) -> None:
        event = box.only("cp /bin/busybox /scratch/b; sleep 0.1; sh -c 'echo >> /scratch/b'; /scratch/b true")
        assert event.process.written_by is not None
        assert event.process.written_by.name == "busybox"

    def test_is_not_said_to_be_the_only_one_where_another_process_got_its_pid_and_wrote_too(
        self, podman: Podman, capture: EbpfCapture, image: str, tmp_path: Path
    ) -> None:
        """Pids are those of the node here: the kernel gives one to whom it is told to."""
        tool = needs.tool(tmp_path / "same-pid", source="same_pid.c")
        box = Watch(podman, capture, podman.run(image, options=["--privileged", "--pid=host"]))
        podman.cp(tool, box.name, "/tmp/same-pid")
        script = "/tmp/same-pid /bin/busybox {0} && chmod +x {0} && {0} true"
        events = box.drift("cat /bin/busybox > /tmp/busybox-1; chmod +x /tmp/busybox-1; /tmp/busybox-1 true")
        events += box.drift(script.format("/tmp/busybox-2"))
        known = {event.process.path: event.process.provenance for event in events}
        alone, both = known["/tmp/busybox-1"], known["/tmp/busybox-2"]
        assert alone is not None
        assert alone.written_by == "/bin/busybox"
        assert both is None or both.written_by is None


class TestScripts:
    def test_one_that_redirects_its_own_symlink_to_an_image_script_is_detected_every_time(self, box: Watch) -> None:
        evil = "#!/bin/sh\nln -sf /opt/entry.sh /tmp/link\n"
        make = f"printf '{evil}' > /tmp/evil.sh; chmod +x /tmp/evil.sh"
        events = box.drift(f"{make}; for i in $(seq 50); do ln -sf /tmp/evil.sh /tmp/link; /tmp/link; done")
        assert Counter((event.kind, event.process.path) for event in events) == {("script", "/tmp/evil.sh"): 50}
        assert {event.process.sha256 for event in events} == {hashlib.sha256(evil.encode()).hexdigest()}

    def test_one_that_deletes_itself_is_detected_every_time(self, box: Watch) -> None:
        make = "printf '#!/bin/sh\\nrm /tmp/self.sh\\n' > /tmp/self.sh; chmod +x /tmp/self.sh"
        events = box.drift(f"for i in $(seq 50); do {make}; /tmp/self.sh; done")
        assert Counter((event.kind, event.process.path) for event in events) == {("script", "/tmp/self.sh"): 50}

    def test_an_image_s_script_is_not_drift_in_a_chroot_into_the_image(self, box: Watch) -> None:
        assert box.drift("chroot /jail /opt/s.sh") == []

    def test_a_dropped_script_is_detected_in_a_chroot(self, box: Watch) -> None:
        event = box.only("cp /opt/entry.sh /jail/opt/d.sh; echo >> /jail/opt/d.sh; chroot /jail /opt/d.sh")
        assert (event.kind, event.process.path) == ("script", "/jail/opt/d.sh")


class TestLoader:
    @pytest.mark.parametrize("length", [5_000, 20_000])
    def test_a_program_behind_long_arguments_is_detected(self, box: Watch, length: int) -> None:
        event = box.only(f"cp /usr/bin/dynamic /tmp/m; {LD} --argv0 $(printf '%0{length}d' 7) /tmp/m")
        assert (event.kind, event.process.path) == ("loader", "/tmp/m")

    def test_a_program_searched_in_the_loader_s_directories_is_detected(self, box: Watch) -> None:
        event = box.only(
            f"mkdir -p /tmp/lib; cp /usr/bin/dynamic /tmp/lib/m2;{LD} --library-path /tmp/lib:/lib/x86_64-linux-gnu m2"
        )
        assert (event.kind, event.process.path) == ("loader", "/tmp/lib/m2")

    @pytest.mark.parametrize("option", ["--preload", "--audit"])
    def test_a_preloaded_library_is_detected(self, box: Watch, option: str) -> None:
        make = "cat /lib/x86_64-linux-gnu/libc.so.6 > /tmp/evil.so; echo >> /tmp/evil.so"
        event = box.only(f"{make}; {LD} {option} /tmp/evil.so /usr/bin/dynamic")
        assert (event.kind, event.process.path, event.process.via) == ("library", "/tmp/evil.so", LD)


@pytest.fixture
def asked(capture: EbpfCapture) -> Iterator[None]:
    capture.detect({"interpreter"})
    yield
    capture.detect(())


class TestInterpreters:
    @pytest.mark.usefixtures("asked")
    def test_a_dropped_file_passed_to_one_is_detected(self, box: Watch) -> None:
        event = box.only("cd /tmp; echo exit > x.txt; sh -e x.txt a")
        assert (event.kind, event.process.path, event.process.via) == ("interpreter", "/tmp/x.txt", "/bin/busybox")
        assert event.process.sha256 == hashlib.sha256(b"exit\n").hexdigest()

    @pytest.mark.usefixtures("asked")
    def test_files_of_the_image_and_programs_in_argv_are_not_drift(self, box: Watch) -> None:
        assert box.drift("sh /opt/entry.sh; sh -c true; busybox sh /opt/entry.sh; echo true | sh") == []

    def test_nothing_is_detected_unless_the_policy_enables_it(self, box: Watch) -> None:
        assert box.drift("echo exit > /tmp/x.txt; sh /tmp/x.txt") == []
