"""The commands on *Take action*: from outside first, on the node, and in the container last; each works in a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.kubectl import PodFile, inspection, isolate_commands
from drift.alerts.models import Alert
from tests.unit.drift.alerts.conftest import Estate, event, raw

FILE = PodFile("shop", "cart-1", "app", "/tmp/a b", False, "n1", "c" * 64, "containerd", 4242)
ODD = PodFile("s; id", "$(id)", "it's", "/tmp/$(id)\u202e", False, "n`id`", "'; id; '", "containerd", 4242)
PLAIN = PodFile("", "", "web", "/tmp/x", False, "n1", "c" * 64, "podman", 4242)
BARE = PodFile("shop", "cart-1", "", "/tmp/x", True)


def inspect_commands(file: PodFile) -> list[tuple[str, str]]:
    """Label and command, in the order of the page."""
    return [command for group in inspection(file) for command in group.commands]


@pytest.mark.parametrize("runtime", ["containerd", "podman"])
def test_no_name_of_a_stolen_sensor_becomes_an_option(runtime: str) -> None:
    file = FILE._replace(pod="--all", container_id="--all", runtime=runtime)
    commands = [*inspect_commands(file), *isolate_commands(file)]
    assert commands
    assert not [command for _, command in commands if "--all" in command]


def test_what_the_container_can_notice_comes_last() -> None:
    commands = [command for _, command in inspect_commands(FILE)]
    entering = [index for index, command in enumerate(commands) if " exec " in command or " debug cart-1" in command]
    assert entering == [len(commands) - 2, len(commands) - 1]
    assert [group.title.split(",")[0] for group in inspection(FILE)] == [
        "From outside: nothing runs in the container",
        "On the node n1",
        "Last",
    ]


def test_a_container_without_a_shell_can_be_examined() -> None:
    commands = dict(inspect_commands(FILE))
    beside = next(command for label, command in commands.items() if "without one" in label)
    assert beside == ("kubectl -n shop debug cart-1 -it --target=app --profile=general --image=busybox:1.37 -- sh")


@pytest.mark.parametrize("file", [FILE, ODD, PLAIN, BARE])
def test_each_command_is_valid_in_a_shell_and_runs_nothing_of_the_names(file: PodFile, tmp_path: Path) -> None:
    """Every program is replaced by one that prints its arguments."""
    commands = [*inspect_commands(file), *isolate_commands(file)]
    assert commands
    for name in ("kubectl", "podman", "nsenter", "sha256sum", "cp", "id", "ps"):
        fake = tmp_path / name
        fake.write_text(f"#!/bin/sh\necho ran {name} >> {tmp_path}/log\n")
        fake.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    for _, command in commands:
        subprocess.run(["bash", "-nc", command], check=True)
        if "kill" not in command:
            subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, check=False, capture_output=True)
    ran = (tmp_path / "log").read_text().splitlines()
    assert "ran id" not in ran
    assert len(ran) == sum("kill" not in command for _, command in commands)


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("ps"), reason="needs /proc and ps")
def test_the_commands_of_the_node_find_a_running_process_and_keep_its_program(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    shutil.copy(shutil.which("sleep") or "", program)
    process = subprocess.Popen([program, "60"])
    try:
        program.unlink()  # as malware does
        in_cgroup = Path(f"/proc/{process.pid}/cgroup").read_text().strip().splitlines()[-1]
        file = FILE._replace(pid=process.pid, container_id=in_cgroup)
        commands = dict(inspect_commands(file))
        keep = next(command for label, command in commands.items() if label.startswith("Keep"))
        subprocess.run(["bash", "-c", keep], cwd=tmp_path, check=True)
        assert (tmp_path / "drifted-binary").read_bytes() == Path(shutil.which("sleep") or "").read_bytes()
        shown = subprocess.run(
            ["bash", "-c", commands["The container's processes"]], capture_output=True, text=True, check=True
        )
        assert str(process.pid) in shown.stdout
        freeze = next(command for label, command in isolate_commands(file) if "freeze" in label)
        elsewhere = freeze.replace(in_cgroup, "another-container")
        assert subprocess.run(["bash", "-c", elsewhere], check=False).returncode != 0
        assert "State:\tT" not in Path(f"/proc/{process.pid}/status").read_text()
        subprocess.run(["bash", "-c", freeze], check=True)
        os.waitpid(process.pid, os.WUNTRACED)  # returns once it has stopped
        assert "State:\tT" in Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.services
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "shown", "hidden"),
    [
        ({}, ["kubectl debug node/n1", "sha256sum /proc/3256138/exe", "kill -STOP 3256138"], []),
        ({"kind": "script"}, ["nsenter -t 3256138"], ["/proc/3256138/exe"]),
        (
            {"container__namespace": None, "container__pod_name": None, "container__runtime": "podman"},
            [f"podman logs --timestamps --tail 500 {'c' * 64}", f"podman pause {'c' * 64}"],
            ["kubectl"],
        ),
        (
            {"process__pid": None, "container__name": None},
            ["kubectl -n shop debug cart-7d9f-abcde -it --profile"],
            ["kill"],
        ),
    ],
)
def test_the_page_shows_the_commands_that_fit_the_alert(
    estate: Estate,
    operator: Any,
    client_of: Callable[[Any], Client],
    changes: dict[str, Any],
    shown: list[str],
    hidden: list[str],
) -> None:
    ingest(estate.sensors[0], raw(event(**changes)))

    page = client_of(operator).get(f"/alerts/{Alert.objects.get().pk}/?tab=action").content.decode()

    assert [each for each in shown if each not in page] == []
    assert [each for each in hidden if each in page] == []
