"""What everyday one-offs and careful attacks have in common, and what tells them apart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from drift.alerts.domain.exec_signals import BUILDS
from drift.alerts.domain.traits import TraitDays, trait_signals, traits
from sensor import wire
from tests.unit.drift.alerts.conftest import event
from tests.unit.drift.alerts.test_priority_signals import below, names, written

NEW = TraitDays(0, 0, 0)
OF_NO_PAYLOAD = {"is_attack": False, "is_written": True, "is_payload": False}
PLANTED: dict[str, Any] = {"process__provenance": {"session": "workload", "written_in_session": "exec"}}


def told(others: set[str], days: TraitDays = NEW, **changes: bool) -> set[str]:
    return {name for name, _ in trait_signals(days, "here", others, **{**OF_NO_PAYLOAD, **changes})}


def test_what_is_nothing_but_new_is_lowered() -> None:
    plain = {"unlike", "new_lineage", "first_seen", "downloaded", "temporary_place", "root"}

    assert "only_new" in told(plain)
    assert "only_new" not in told(plain, is_attack=True)
    assert "only_new" not in told(plain | {"by_hand"}), "one fact counts once"
    assert "only_new" not in told(plain - {"unlike"}), "it is not new"


@pytest.mark.parametrize("session", ["entered", "interactive"])
def test_what_is_downloaded_in_a_session_is_more_than_new(session: str) -> None:
    assert "only_new" in told({"unlike", "downloaded"})
    assert "only_new" in told({"unlike", session})
    assert "only_new" not in told({"unlike", "downloaded", session})


@pytest.mark.parametrize(
    "speaks", ["hidden_name", "service_child", "reads_memory", "planted", "replaced", "true_positive"]
)
def test_what_else_speaks_is_not_lowered_for_being_new(speaks: str) -> None:
    assert "only_new" not in told({"unlike", "new_lineage", speaks})


def test_new_arguments_of_a_build_are_lowered_as_other_one_offs_are() -> None:
    assert {"only_new", "new_in_build"} <= told({"unlike", "build_child"})
    assert "only_new" not in told({"unlike", "build_child"}, is_payload=True), (
        "a script of a package started it at once"
    )


def test_what_a_person_put_into_a_build_is_not_the_builds_work() -> None:
    compiler: dict[str, Any] = {
        "process__path": "/build/sysroot/bin/arm-gcc",
        "process__written_by": written("mv", 999, parent="bash"),
    }
    found = names(**compiler, **PLANTED, **below("make", "sh"))

    assert {"planted", "planted_in_build"} <= found
    assert not found & BUILDS
    assert "planted_in_build" not in names(**compiler, **below("make", "sh"))
    assert "planted_in_build" not in names(**compiler, **PLANTED, **below("app"))


@pytest.mark.parametrize("kind", ["script", "volume", "interpreter"])
def test_no_kind_lowers_what_a_person_put_there_for_the_workload(kind: str) -> None:
    assert not {"script", "routine_kind"} & names(kind=kind, **PLANTED, process__written_by=written("cp", 9_000))
    assert {"script", "routine_kind"} & names(kind=kind, process__written_by=written("cp", 9_000))


@pytest.mark.parametrize("writer", ["wget", "curl", "base64", "cp", "sh"])
@pytest.mark.parametrize("name", ["python3", "bash", "gcc", "sudo"])
def test_a_single_file_named_like_a_runtime_shell_or_compiler_counts(name: str, writer: str) -> None:
    file: dict[str, Any] = {"process__path": f"/opt/x/{name}", "process__name": name}

    assert "wrong_name" in names(**file, process__written_by=written(writer))
    for other in ("tar", "unzip", "conda", "dpkg", "uv"):
        assert "wrong_name" not in names(**file, process__written_by=written(other))
    assert "wrong_name" not in names(**file)
    assert "wrong_name" not in names(**file, kind="copy_of_image_file", process__written_by=written(writer))


def test_a_service_that_wrote_a_program_long_ago_was_given_an_app() -> None:
    app: dict[str, Any] = {"process__path": "/srv/app/bin/push", **below("apache2")}

    assert "written_by_service" in names(**app, process__written_by=written("apache2", 3_000))
    assert "written_by_service" not in names(**app, process__written_by=written("apache2", 90_000))


def test_a_plugin_that_its_service_starts_without_arguments_is_lowered() -> None:
    plugin: dict[str, Any] = {"process__path": "/var/lib/grafana/plugins/a/gpx_a", "process__argv": ["gpx_a"]}
    by_itself: dict[str, Any] = {"process__written_by": written("grafana"), **below("grafana", "run.sh")}

    assert "own_plugin" in names(**plugin, **by_itself)
    assert "own_plugin" not in names(**{**plugin, "process__argv": ["gpx_a", "client"]}, **by_itself)
    assert "own_plugin" not in names(**{**plugin, "process__path": "/var/lib/grafana/png/gpx_a"}, **by_itself)
    assert "own_plugin" not in names(**plugin, process__written_by=written("wget"), **below("grafana"))
    assert "own_plugin" not in names(**plugin, process__written_by=written("grafana"), **below("sh", "grafana"))


@pytest.mark.parametrize(
    ("path", "starter"),
    [
        ("/var/www/html/plugins/x", "sh"),
        ("/var/www/html/wp-content/plugins/x", "php-fpm"),
        ("/var/www/php-fpm/plugins/x", "php-fpm"),
        ("/tmp/plugins/x", "php-fpm"),
        ("/tmp/grafana/plugins/x", "grafana"),
        ("/dev/shm/grafana/plugins/x", "grafana"),
        ("/opt/app/plugins/x", "grafana"),
        ("/opt/plugins/grafana/x", "grafana"),
        ("/opt/sh/plugins/x", "sh"),
        ("/usr/lib/python3/plugins/x", "python3"),
    ],
)
def test_what_is_no_services_own_directory_has_no_plugins(path: str, starter: str) -> None:
    file: dict[str, Any] = {"process__path": path, "process__argv": [path], "process__written_by": written(starter)}

    assert "own_plugin" not in names(**file, **below(starter, "nginx"))


def test_what_else_a_plugin_shows_is_not_lowered() -> None:
    path = "/var/lib/grafana/plugins/a/gpx_a"
    plugin: dict[str, Any] = {"process__path": path, "process__argv": [path], **below("grafana")}
    plugin["process__written_by"] = written("grafana")

    assert "own_plugin" in names(**plugin)
    assert "own_plugin" not in names(**plugin, process__provenance={"writer_origin": "drift"})
    assert "own_plugin" not in names(**plugin, process__argv_truncated=True)
    assert "own_plugin" not in names(**plugin, kind="fileless")
    assert "own_plugin" not in names(**{**plugin, "process__argv": []})
    assert "own_plugin" not in names(**{**plugin, "process__path": "/var/lib/grafana/plugins/xmrig"})
    assert "own_plugin" not in names(**{**plugin, "process__argv": ["stratum+tcp://a"]})


def test_what_cron_starts_is_not_a_child_of_the_server_above_it() -> None:
    assert "service_child" in names(**below("sh", "postgres", "patroni"))
    assert "service_child" not in names(**below("sh", "cron", "postgres", "patroni"))
    assert "service_child" in names(**below("sh", "postgres", "cron"))


def test_a_tool_that_a_person_started_below_sshd_is_not_started_by_sshd() -> None:
    assert "service_child" not in names(**below("kubectl", "bash", "sshd", "sshd"))
    assert "service_child" in names(**below("kubectl", "sh", "sshd"))
    assert "service_child" in names(**below("sshd"))
    assert "service_child" in names(**below("nginx", "bash", "sshd"))


def test_a_loader_that_is_given_a_bundles_libraries_is_everyday() -> None:
    loader: dict[str, Any] = {"kind": "loader", "process__path": "/opt/a/bin/a"}

    assert "loader" in names(**loader, process__argv=["/lib64/ld.so", "/opt/a/bin/a"])
    for options in (
        ["--library-path", "/opt/a/lib"],
        ["--library-path=/opt/a/bin"],
        ["--inhibit-cache", "--argv0", "a", "--library-path", "/opt/a/lib:/opt/a/bin/x"],
    ):
        assert "loader" not in names(**loader, process__argv=["/lib64/ld.so", *options, "/opt/a/bin/a"])
    relative = ["/lib64/ld.so", "--library-path", "../lib", "./a"]
    assert "loader" not in names(**loader, process__cwd="/opt/a/bin", process__argv=relative)


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("/opt/a/bin/a", ["/opt/a/bin/a", "--library-path", "/opt/a/lib"]),
        ("/opt/a/bin/a", ["/opt/a/bin/a", "--library-path=/opt/a/lib"]),
        ("/opt/a/bin/a", ["--library-path", "/opt/a/lib"]),
        ("/opt/a/bin/a", ["--library-path"]),
        ("/opt/a/bin/a", ["--library-path-x", "/opt/a/bin/a"]),
        ("/opt/a/bin/a", ["--preload", "/opt/e.so", "--library-path", "/opt/a/lib", "/opt/a/bin/a"]),
        ("/opt/a/bin/a", ["--library-path", "/opt/b/lib", "/opt/a/bin/a"]),
        ("/opt/a/bin/a", ["--library-path", "/opt/a/lib:/home/e", "/opt/a/bin/a"]),
        ("/opt/a/bin/a", ["--library-path", "/opt/a/lib;/home/e", "/opt/a/bin/a"]),
        ("/opt/a/bin/a", ["--library-path", "/opt/a/lib/$ORIGIN/../../b", "/opt/a/bin/a"]),
        ("/opt/a/bin/a", ["--library-path", "/opt/a/lib:", "/opt/a/bin/a"]),
        ("/opt/a/bin/a", ["--library-path", "/opt/a/../b/lib", "/opt/a/bin/a"]),
        ("/opt/a/bin/a", ["--library-path", "lib", "/opt/a/bin/a"]),
        ("/opt/a/a", ["--library-path", "/opt/b/lib", "/opt/a/a"]),
        ("/tmp/a/a", ["--library-path", "/tmp/a", "/tmp/a/a"]),
        ("/dev/shm/a", ["--library-path", "/dev/shm", "/dev/shm/a"]),
        ("/usr/local/bin/a", ["--library-path", "/usr/local/lib", "/usr/local/bin/a"]),
        ("/usr/bin/a", ["--library-path", "/usr/bin", "/usr/bin/a"]),
        ("/lib/a", ["--library-path", "/lib", "/lib/a"]),
        ("/a", ["--library-path", "/x", "/a"]),
    ],
)
def test_a_loader_that_is_given_other_libraries_counts(program: str, options: list[str]) -> None:
    argv = ["/lib64/ld.so", *options]

    assert "loader" in names(kind="loader", process__path=program, process__cwd=None, process__argv=argv)


@pytest.mark.parametrize("path", ["/root/.cmdstan/bin/stanc", "/home/a/.tool-x/1.2/bin/x", "/home/a/.wal-g/x"])
def test_a_tool_in_its_own_directory_of_a_home_is_not_hidden(path: str) -> None:
    assert "hidden_name" not in names(process__path=path)


@pytest.mark.parametrize(
    "path",
    [
        "/tmp/.tool/bin/x",
        "/root/.x/bin/x",
        "/root/.tool/x",
        "/root/.tool/bin/.x",
        "/root/.a-b/.c/bin/x",
        "/mnt/.d/bin/x",
        "/var/lib/postgresql/.tool/bin/x",
        "/opt/app/.tool/bin/x",
    ],
)
def test_other_hidden_places_are(path: str) -> None:
    assert "hidden_name" in names(process__path=path)


def test_a_scripts_own_path_is_no_argument_of_it() -> None:
    def command(*argv: str, path: str = "/tmp/tmpab") -> object:
        sent = event(kind="interpreter", process__path=path, process__argv=["python3", *argv])
        return traits(msgspec.convert(sent, wire.Event)).command

    assert command("/tmp/tmpab") is None
    assert command("/tmp/tmpab", "--all") == command("/tmp/tmpcd", "--all", path="/tmp/tmpcd") is not None
    assert command("/tmp/tmpab", "--all") != command("/tmp/tmpab", "--one")


def test_a_library_that_was_downloaded_alone_counts_more_than_a_program() -> None:
    library: dict[str, Any] = {"kind": "library", "process__via": "/usr/bin/java", "process__path": "/opt/x/a.so"}

    assert {"downloaded", "library_download"} <= names(**library, process__written_by=written("curl", 29))
    assert "library_download" not in names(**library, process__written_by=written("curl", 999))
    assert "library_download" not in names(**library, process__written_by=written("tar"))
    assert "library_download" not in names(process__written_by=written("curl"))


def test_what_a_dropped_tool_writes_over_itself_is_written_by_drift_too() -> None:
    drift: dict[str, Any] = {"process__provenance": {"writer_origin": "drift"}, "process__path": "/usr/local/bin/tool"}

    assert "drifted_writer" in names(**drift, process__written_by=written("tool", path="/usr/local/bin/tool"))
    assert "drifted_writer" in names(**drift, process__written_by=written("tool", path="/opt/tool"))
    assert "drifted_writer" in names(**drift, process__written_by=written("tool"))


def test_the_agent_of_a_ci_server_starts_what_builds_do() -> None:
    assert "build_child" in names(**below("sh", "java", "jenkins-agent"))
    assert "runtime_child" in names(**below("sh", "java", "jenkins-server"))
