"""What arguments show depends on the program: what it is for, and its own path, say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from drift.alerts.domain.argv_patterns import argv_signals
from tests.unit.drift.alerts.test_priority_signals import below, names, written

COPY = ["a", "copy", "/srv/data", ":mega:archive"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a --to wss://relay.example.net/ws", "outside_address"),
        ("a --to https://user@metrics.example.io:8443", "outside_address"),
        ("a --to https://user:pw@evil.com/x", "outside_address"),
        ("a --to https://***@evil.com", "outside_address"),
        ("a --to https://evil.com.", "outside_address"),
        ("a --to https://evil.xn--p1ai/x", "outside_address"),
        ("a --to=wss://c2.evil.workers.dev?x", "outside_address"),
        ("a https://relay.top:443", "outside_address"),
        ("a http://185.193.126.40/x", "bare_address"),
        ("a https://user:pw@185.193.126.40?x", "bare_address"),
        ("a tcp://185.193.126.40:443", "bare_address"),
        ("a copy /srv/data :mega:archive", "exfiltration"),
        ("a --name 185.193.126.40 --port 443", "bare_address"),
        ("a --host=185.193.126.40", "bare_address"),
        ("a --grep BEGIN EC PRIVATE", "credentials"),
        ("a --collect .npmrc,x", "credentials"),
        ("a --pid 1 /proc/1/mem", "credentials"),
        ("a -path /srv -ext lck9 -threads 16", "ransom"),
        ("a --note RESTORE_FILES.txt", "ransom"),
        ("a --note README_RESTORE.txt", "ransom"),
        ("a -o pool.example:20128 -u wallet -p x", "miner"),
        ("a --algo autolykos2 --server eu", "miner"),
        ("a --pipe=/bin/bash --url=x", "offers_shell"),
        ("a --post=https://cdn.example/v1", "calls_home"),
        ("a --dial hub.example.site:443", "outside_host"),
        ("a /var/lib/a/grafana.db", "secret_file"),
        ("a -e /app/.env", "secret_file"),
        ("a filesystem / --only-verified", "seeks_secrets"),
        ("a --match AKIA,ghp_", "seeks_secrets"),
        ("a -p 1 -e trace=read -s 4096", "reads_memory"),
        ("a --pid-of Runner.Worker --maps", "reads_memory"),
        ("a -m 22000 -a 0 cap rockyou.txt", "guesses"),
        ("a --net 10.40.0.0/16 --port 502", "network_range"),
        ("a --range 10.40.0.0/16", "network_range"),
        ("a --ip-ranges=10.40.0.0/16", "network_range"),
        ("a --inject libstdc++.a", "loads_code"),
        ("a -a 1 -t 0 -r 17 -1 10.70.1.21 0", "controller"),
        ("a --net x --write-coil 1-64", "controller"),
        ("a copyto --config /dev/null --transfers=4 /srv/data :mega,user=a,pass=b:b/x", "exfiltration"),
        ("a copyto /var/lib/a.db :s3,provider=Other,endpoint=s3.eu:drop/a.db", "exfiltration"),
        ("a passwordspray -d corp.local u.lst x", "guesses"),
        ("a --cfg x --daemon", "detached"),
        ("a --out /tmp/.j", "hidden_file"),
        ("a -c/tmp/x,/dev/shm/a/.b", "hidden_file"),
    ],
)
def test_arguments_that_show_an_intent_are_found(line: str, expected: str) -> None:
    assert expected in argv_signals(line.split(" "))


@pytest.mark.parametrize(
    "line",
    [
        "puma 6.4.2 (tcp://0.0.0.0:3000) [app]",
        "a --repo http://nexus.build.svc.cluster.local:8081/x",
        "a --repo https://registry.internal/x",
        "a --to http://payments.billing:8080",
        "a --to http://redis.default",
        "a --to http://svc.prod.mesh/x",
        "a --to http://redis-0.redis.default:6379",
        "a --to http://cart.shop:8080",
        "a --to http://user:pw@nexus.ci:8081/x",
        "a --to http://db",
        "java -cp /opt/jdk/17.0.9.1/lib Main",
        "java -cp /opt/17.0.9.1 Main",
        "a --to http://10.1.2.3/x",
        "a --db postgres://db:5432/x",
        "tool --version 1.2.3",
        "a --listen 10.1.2.3",
        "java -Djavax.net.ssl.trustStore=/etc/x.jks -jar a.jar",
        "encode --ext mp4 --path /srv",
        "a wallet.test -test.timeout=10m0s",
        "a --extension pdf /srv/in",
        "a --daemon-socket /run/a.sock",
        "a --cache /home/a/.cache/x",
        "a /tmp/a.b/c",
        "kube-proxy --cluster-cidr 10.0.0.0/16",
        "a --cluster-cidr=10.0.0.0/16 --set-trusted-cidrs=10.1.0.0/16",
        "a --connect kafka-0.kafka:9092",
        "a --to postgres://db.chat/mm",
        "dump --pid 9",
        "modpoll -m tcp -a 3 -r 100 -c 10 10.40.3.21",
        "a -t 4 --server 10.40.3.21 --port 502 run",
        "a --write x.csv",
        "a -p 5432 -U app",
        "sops -d secrets.enc.yaml",
        "a --env-file prod.env",
        "a --exec date",
        "a --search title",
        "a -o out.txt -u name",
    ],
)
def test_addresses_inside_and_everyday_options_are_not(line: str) -> None:
    assert argv_signals(line.split(" ")) == []


def test_a_copy_tool_under_another_name_is_told() -> None:
    assert {"exfiltration", "renamed_tool"} <= names(process__argv=COPY)
    assert "renamed_tool" not in names(process__argv=COPY, process__name="rclone")


def test_what_a_program_is_for_and_its_own_path_say_nothing() -> None:
    fetch = ["curl", "https://example.com/x"]
    assert "outside_address" in names(process__argv=fetch)
    assert "outside_address" not in names(process__argv=fetch, process__name="curl")
    assert "outside_address" not in names(process__argv=fetch, kind="library", process__via="/usr/bin/app")
    sign = ["apksigner", "sign", "--ks", "x.jks"]
    assert "key_store" in names(process__argv=sign)
    assert "key_store" not in names(process__argv=sign, process__name="apksigner")
    hidden: dict[str, Any] = {"process__argv": ["sh", "/tmp/.x"], "process__path": "/tmp/.x"}
    assert "hidden_file" not in names(**hidden)


def test_what_a_person_tries_is_lowered_unless_something_else_speaks() -> None:
    person = below("bash")
    assert "by_hand" in names(**person)
    assert "by_hand" in names(process__path="/tmp/a", process__uid=0, process__written_by=written("tar"), **person)
    other_facts: list[dict[str, Any]] = [
        {"process__argv": COPY},
        {"process__path": "/dev/shm/a"},
        {"process__path": "/opt/.a"},
        {"kind": "replaced"},
        {"kind": "fileless"},
        *({"process__written_by": written(tool, seconds)} for tool in ("curl", "wget") for seconds in (3, 900)),
        {"process__provenance": {"writer_origin": "drift"}, "process__written_by": written("a")},
    ]
    for speaks in other_facts:
        assert "by_hand" not in names(**person, **speaks)
    assert "by_hand" not in names()


def test_a_terminal_of_a_notebook_is_a_persons_and_what_its_cells_start_is_not() -> None:
    line = ("python3.11", "jupyterhub-singleuser", "tini")
    assert "interactive" in names(**below("bash", *line))
    assert "runtime_child" in names(**below("sh", *line))
    assert "interactive" not in names(**below("bash", "python3.11", "gunicorn"))


def test_a_program_that_writes_its_own_file_is_updated_and_no_other_is() -> None:
    own: dict[str, Any] = {"kind": "replaced", "process__path": "/opt/bin/minio", **below("minio")}
    assert "self_update" in names(**own, process__written_by=written("minio", path="/opt/bin/minio"))
    for path in ("/tmp/minio", "/usr/bin/sh", None):
        assert "self_update" not in names(**own, process__written_by=written("minio", path=path))
    for path in ("/usr/bin/bash", "/usr/bin/cp", "/usr/bin/curl", "/usr/bin/python3.12", "/usr/sbin/sshd"):
        itself = written(path.rsplit("/", 1)[1], path=path)
        assert "self_update" not in names(**{**own, "process__path": path}, process__written_by=itself)
    drifted: dict[str, Any] = {"process__provenance": {"writer_origin": "drift"}}
    assert "self_update" not in names(**own, **drifted, process__written_by=written("minio", path="/opt/bin/minio"))
    apt: dict[str, Any] = {
        "kind": "replaced",
        "process__path": "/usr/bin/apt",
        "process__written_by": written("apt", path="/usr/bin/apt"),
    }
    assert not {"installed", "unpacked"} & names(**apt), "one fact counts once"


@pytest.mark.parametrize("server", ["nginx", "postgres", "redis-server", "php-fpm8.2", "httpd"])
def test_a_server_that_exchanges_its_own_file_was_broken_into(server: str) -> None:
    path = f"/usr/sbin/{server}"
    taken: dict[str, Any] = {"process__written_by": written(server, path=path), **below(server)}

    found = names(kind="replaced", process__path=path, process__name=server, **taken)

    assert {"replaced", "written_by_service", "service_child", "started_by_writer"} <= found
    assert "self_update" not in found
    assert found >= names(process__path="/usr/sbin/x", **taken)


def test_an_update_hides_no_service_around_it() -> None:
    for program in ("minio", "agent"):
        update: dict[str, Any] = {"kind": "replaced", "process__path": f"/opt/{program}", "process__name": program}
        itself = written(program, path=f"/opt/{program}", parent="nginx")
        found = names(**update, process__written_by=itself, **below(program, "nginx"))
        assert {"self_update", "written_by_service", "service_child"} <= found
    assert "below_parser" in names(**update, process__written_by=itself, **below("sh", "exiftool"))
    parser: dict[str, Any] = {"kind": "replaced", "process__path": "/usr/bin/ffmpeg", "process__name": "ffmpeg"}
    parser["process__written_by"] = written("ffmpeg", path="/usr/bin/ffmpeg")
    assert not {"self_update", "unpacked"} & names(**parser)


def test_what_runs_while_it_is_installed_is_not_yet_installed() -> None:
    found = names(process__written_by=written("python3", parent="pip"), **below("python3", "pip", "bash"))

    assert "build_child" in found
    assert "installed" not in found
    assert "installed" in names(process__written_by=written("python3", parent="pip"), **below("bash"))


def test_a_volume_that_the_node_filled_is_a_deployments_and_one_that_was_copied_to_is_not() -> None:
    volume: dict[str, Any] = {"kind": "volume", "process__provenance": {"writer_origin": "runtime"}}
    assert "routine_kind" in names(**volume, process__written_by=written("cp"))
    assert "routine_kind" not in names(**volume, process__written_by=written("tar"))
    assert "routine_kind" not in names(kind="volume", process__written_by=written("cp"))


def test_of_two_signals_of_one_fact_the_weightier_counts() -> None:
    scan = names(process__argv=["a", "10.0.0.0/8", "-p22"])
    outside = names(process__argv=["a", "wss://relay.example/x", "--to", "hub.example:443"])

    assert "scan" in scan
    assert "network_range" not in scan
    assert "outside_address" in outside
    assert "outside_host" not in outside


def test_arguments_of_the_program_that_loads_a_library_are_not_the_librarys() -> None:
    line = ["a", "--exec", "/bin/sh", "--grep", "secret", "--pid", "1", "--maps", "/run/secrets", "hub.example:443"]
    own = {"offers_shell", "seeks_secrets", "reads_memory", "secret_file", "outside_host"}

    assert own <= names(process__argv=line)
    assert not own & names(process__argv=line, kind="library", process__via="/usr/bin/a")


def test_a_backup_tool_works_on_a_databases_files_every_day() -> None:
    line = ["wal-g", "backup-push", "/var/lib/postgresql/data"]

    assert "data_files" in names(process__argv=line)
    assert "data_files" not in names(process__argv=line, process__name="wal-g")
