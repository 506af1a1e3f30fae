"""The thin layer over fanotify and the process connector, on this kernel."""

from __future__ import annotations

import os
import select
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.fanotify.connector import Connector
from sensor.capture.fanotify.group import OPEN_EXEC, OPEN_EXEC_PERM, Fanotify, OpenEvent, Scope
from tests.system.podman import BUSYBOX, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.capture.fanotify.connector import ProcessEvent

pytestmark = pytest.mark.container
PATIENCE = 30.0


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of its own with one program, so that nothing else on this machine is seen or held."""
    if unusable():
        pytest.skip(unusable())
    subprocess.run(["mount", "-t", "tmpfs", "driftwatch-test", tmp_path], check=True)
    (tmp_path / "busybox").write_bytes(BUSYBOX.read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def waited(group: Fanotify) -> OpenEvent:
    """The next event."""
    assert select.select([group], [], [], PATIENCE)[0]
    return group.read()[0]


@pytest.mark.parametrize("scope", [Scope.FILESYSTEM, Scope.MOUNT])
def test_an_exec_on_a_marked_mount_comes_with_its_file_and_process(directory: Path, scope: Scope) -> None:
    with Fanotify() as group:
        group.mark(OPEN_EXEC, scope, path=str(directory))
        process = subprocess.Popen([directory / "busybox", "true"])
        event = waited(group)
        assert (event.pid, event.is_held) == (process.pid, False)
        assert Path(f"/proc/self/fd/{event.fd}").readlink() == directory / "busybox"
        event.close()
        process.wait()
        group.unmark(OPEN_EXEC, scope, path=str(directory))
        subprocess.run([directory / "busybox", "true"], check=True)
        assert group.read() == []


def test_a_held_exec_runs_when_allowed_and_fails_when_denied(directory: Path) -> None:
    handle = os.open(directory, os.O_PATH)
    with Fanotify(permission=True) as group:
        group.mark(OPEN_EXEC_PERM, Scope.FILESYSTEM, fd=handle)
        for answer, status in ((group.allow, 0), (group.deny, 126)):
            script = f"{directory}/busybox true; exit $?"
            process = subprocess.Popen(["/bin/sh", "-c", script], stderr=subprocess.DEVNULL)
            event = waited(group)
            assert event.is_held
            answer(event)
            assert process.wait(PATIENCE) == status
    os.close(handle)


def test_closing_the_group_releases_what_it_holds(directory: Path) -> None:
    group = Fanotify(permission=True)
    group.mark(OPEN_EXEC_PERM, Scope.FILESYSTEM, path=str(directory))
    process = subprocess.Popen(["/bin/sh", "-c", f"{directory}/busybox true; exit $?"])
    event = waited(group)
    event.close()
    group.close()
    assert process.wait(PATIENCE) == 0


def test_the_connector_reports_forks_and_execs(directory: Path) -> None:
    seen: list[ProcessEvent] = []
    news = threading.Condition()

    def note(event: ProcessEvent) -> None:
        with news:
            seen.append(event)
            news.notify()

    connector = Connector(note)
    connector.start()
    try:
        process = subprocess.Popen([directory / "busybox", "true"])
        with news:
            ran = lambda: any((event.what, event.pid) == ("exec", process.pid) for event in seen)  # noqa: E731
            assert news.wait_for(ran, PATIENCE)
            assert any((event.what, event.pid, event.parent) == ("fork", process.pid, os.getpid()) for event in seen)
        process.wait()
    finally:
        connector.close()
    assert (connector.lost, connector.failed) == (0, None)
