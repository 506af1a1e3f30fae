"""What interpreters of an image are made to run, on real podman containers: not only what their arguments name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.ebpf import EbpfCapture, open_ebpf
from sensor.capture.errors import CaptureUnavailable
from tests.system import needs
from tests.system.capture.bed import LOADER, Collector, PodmanBox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.wire import Event

pytestmark = pytest.mark.container

PROGRAMS = ("perl", "bash", "mawk")
CAUGHT = {
    "standard input": ("echo true > /tmp/in; sh < /tmp/in", "/tmp/in"),
    "standard input by its name": ("echo true > /tmp/in2; bash /dev/stdin < /tmp/in2", "/tmp/in2"),
    "perl's standard input": ("echo 1 > /tmp/in3; perl < /tmp/in3", "/tmp/in3"),
    "BASH_ENV": ("echo true > /tmp/env; BASH_ENV=/tmp/env bash -c true", "/tmp/env"),
    "ENV": ("echo true > /tmp/env2; ENV=/tmp/env2 sh -i -c true", "/tmp/env2"),
    "--rcfile": ("echo true > /tmp/rc; echo exit | bash --rcfile /tmp/rc -i", "/tmp/rc"),
    "a sourced file": ("echo true > /tmp/sourced; bash -c '. /tmp/sourced'", "/tmp/sourced"),
    "perl -M": ("echo 1 > /tmp/evil.pm; perl -I/tmp -Mevil -e1", "/tmp/evil.pm"),
    "PERL5OPT": ("echo 1 > /tmp/opt.pm; PERL5LIB=/tmp PERL5OPT=-Mopt perl -e1", "/tmp/opt.pm"),
    "awk -f": ("echo 'BEGIN {exit}' > /tmp/prog; mawk -f /tmp/prog", "/tmp/prog"),
    "a file on a volume": ("echo true > /scratch/rc; bash -c '. /scratch/rc'", "/scratch/rc"),
    "a file named in argv": ("echo 1 > /tmp/script; perl /tmp/script", "/tmp/script"),
    "a file named behind more arguments than are kept": (
        f"echo 'sleep 1' > /tmp/far; perl {'-w ' * 2_000} /tmp/far",
        "/tmp/far",
    ),
    "a file named to perl by its loader": (
        f"echo 1 > /tmp/by-loader; {LOADER} /usr/bin/perl /tmp/by-loader",
        "/tmp/by-loader",
    ),
    "a module of one": (f"echo 1 > /tmp/lent.pm; {LOADER} /usr/bin/perl -I/tmp -Mlent -e1", "/tmp/lent.pm"),
    "gone at once": ("echo true > /tmp/gone; sh < /tmp/gone; rm /tmp/gone", "/tmp/gone"),
}
QUIET = {
    "the image's modules": "perl -I/opt -Mown -e1; PERL5LIB=/opt PERL5OPT=-Mown perl -e1",
    "the image's scripts": "bash /opt/own.sh; bash -c '. /opt/own.sh'; sh < /opt/own.sh",
    "data": "echo a > /tmp/data; mawk '{print}' /tmp/data; perl -ne print /tmp/data; perl -ne print < /tmp/data",
    "the image's by a loader": f"{LOADER} /usr/bin/perl -I/opt -Mown -e1; {LOADER} /usr/bin/bash /opt/own.sh",
    "a pipe and text in argv": "echo true | sh; sh -c true; perl -e1; bash -c 'read x < /dev/null'",
    "what the runtime mounts in /etc": "bash -c 'read x < /etc/hosts; read x < /etc/resolv.conf'",
    "other programs' files": "echo 1 > /tmp/x.py; cat /tmp/x.py; cp /tmp/x.py /tmp/y.py",
}


def _libraries(program: str) -> list[Path]:
    listed = subprocess.run(["ldd", program], capture_output=True, check=True, text=True).stdout.split()
    return [Path(word) for word in listed if word.startswith("/")]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collector, PodmanBox]]:
    found = {name: path for name in PROGRAMS if (path := shutil.which(name))}
    if missing := set(PROGRAMS) - set(found):
        pytest.skip(f"needs {', '.join(sorted(missing))}")
    try:
        capture = open_ebpf(ring_bytes=1024 * 1024)
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    assert isinstance(capture, EbpfCapture)
    capture.detect({"interpreter"})
    collector = Collector(capture)
    files: dict[str, bytes | str | Path] = {f"/usr/bin/{name}": Path(path) for name, path in found.items()}
    files |= {str(library): library for path in found.values() for library in _libraries(path)}
    files |= {"/opt/own.pm": "1;\n", "/opt/own.sh": "true\n"}
    try:
        with needs.podman_in(tmp_path_factory.mktemp("podman")) as podman:
            name = podman.run(podman.image("app", files), volumes=[f"{tmp_path_factory.mktemp('volume')}:/scratch"])
            yield collector, PodmanBox(podman, name)
    finally:
        collector.close()


@pytest.fixture
def box(collector: tuple[Collector, PodmanBox]) -> Box:
    return Box(*collector)


class Box:
    """The container, and what its interpreters are reported to run."""

    def __init__(self, collector: Collector, box: PodmanBox) -> None:
        self._collector, self._box = collector, box

    def lost(self, cause: str) -> int:
        """Return how many execs of this container were counted under a cause."""
        gaps = self._collector.capture.counters().gaps
        return sum(gap.lost.get(cause, 0) for gap in gaps if gap.container_id == self._box.id)

    def run(self, script: str) -> list[Event]:
        last = "cat /bin/busybox > /tmp/last; chmod +x /tmp/last; /tmp/last true last; rm /tmp/last"
        self._box.shell(f"{script}\n{last}")
        return self._collector.until(self._box.id, lambda event: event.process.argv[-1:] == ["last"])


@pytest.mark.parametrize("name", CAUGHT)
def test_code_that_an_interpreter_is_made_to_run_is_reported_once(box: Box, name: str) -> None:
    script, path = CAUGHT[name]
    events = box.run(script)
    assert [(event.kind, event.process.path) for event in events] == [("interpreter", path)]
    assert events[0].process.via in {"/bin/busybox", "/usr/bin/bash", "/usr/bin/perl", "/usr/bin/mawk", str(LOADER)}


def test_what_an_interpreter_reads_past_the_64th_file_is_counted(box: Box) -> None:
    make = "i=0; while [ $i -lt 66 ]; do echo true > /tmp/many$i; i=$((i+1)); done"
    assert len(box.run(f"{make}; bash -c 'for i in $(seq 0 63); do . /tmp/many$i; done'")) == 64
    assert box.lost("reads_unseen") == 0
    assert len(box.run("bash -c 'for i in $(seq 0 65); do . /tmp/many$i; done'")) == 65
    assert box.lost("reads_unseen") == 1


@pytest.mark.parametrize("name", QUIET)
def test_what_is_the_image_s_or_data_is_not_reported(box: Box, name: str) -> None:
    assert box.run(QUIET[name]) == []


def test_nothing_is_reported_unless_a_policy_wants_interpreters(
    box: Box, collector: tuple[Collector, PodmanBox]
) -> None:
    capture = collector[0].capture
    assert isinstance(capture, EbpfCapture)
    capture.detect(())
    try:
        assert box.run("; ".join(script for script, _ in CAUGHT.values())) == []
    finally:
        capture.detect({"interpreter"})
