"""Where pages' commands run: PostgreSQL, Valkey, the portal's wheel, and for each page a directory in place of `/`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from portal.embedded import postgres, valkey
from tests.docs.blocks import DRY_RUN, ROOT, Block, blocks
from tests.system.stack import eventually, free_port
from tests.unit.sensor.deployed import built_wheel

EXAMPLE: Final = "https://driftwatch.example"
"""The portal's address in the pages."""
QUEUE: Final = "redis://localhost:6379/0"
SYSTEM: Final = re.compile(r"(?<![\w./}$~-])/(?=(?:etc|opt|srv|var/lib|var/backups|usr/local/bin)\b)")
"""Where the pages name directories of the machine."""
STAND_INS: Final = (
    *("helm", "kubectl", "podman", "docker", "systemctl", "journalctl", "useradd", "install", "git", "make", "curl"),
    *("python3", "pip", "apt-get", "driftwatch-portal", "driftwatch-sensor"),
)
PROGRAMS: Final = {"driftwatch-portal": "portal.program.main", "driftwatch-sensor": "sensor.commands.main"}
MAKE_TOKEN: Final = """
import datetime as dt
from django.utils import timezone
from accounts import tokens
from accounts.models import ApiToken, User
from accounts.models.tokens import scopes_of_role
from accounts.roles import Role
new = tokens.new_token(tokens.PERSON)
user = User.objects.get(email="you@example.com")
ApiToken.objects.create(
    user=user, name="docs", prefix=new.prefix, digest=new.digest, requests_per_minute=600,
    scopes=[scope.value for scope in scopes_of_role(Role.OWNER)], expires_at=timezone.now() + dt.timedelta(days=1),
)
print(new.token)
"""
"""What a person does on the page API tokens."""


@dataclass(frozen=True)
class Done:
    """What a page's commands printed, the status of the last, and the directory in which they ran."""

    status: int
    output: str
    root: Path


class World:
    """The services and the wheel; `run` executes a page."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._database_port = free_port()
        self._database = postgres.Postgres(directory / "pg", directory / "run", postgres.find_binaries(), durable=False)
        self._queue = valkey.Valkey(directory / "valkey", directory / "run" / "v.sock", valkey.find_binary())
        self._running: list[subprocess.Popen[bytes]] = []
        self.token = ""
        self._settings, self._secret_key = directory / "settings", ""
        """What the installation wrote."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Build the wheel, write the stand-ins, start PostgreSQL and Valkey."""
        for service in (self._database, self._queue):
            service.prepare()
        listening = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={self._database_port}"]
        self._start([*self._database.command(), *listening])
        self._start(self._queue.command())
        self._unpack_wheel()
        self._write_stand_ins()
        self._queue.wait()
        psql = [str(self._database.binaries / "psql"), "--command", "SELECT 1"]
        eventually(lambda: not subprocess.run(psql, env=self.env, capture_output=True, check=False).returncode, "SQL")

    def serve(self, settings: Path) -> None:
        """Start web with the settings of that file, and make an API token of the Owner's."""
        shutil.copytree(settings.parent, self._settings)
        # As systemd gives it to a process.
        lines = (line.split("=", 1) for line in settings.read_text().splitlines() if "=" in line and line[0] != "#")
        given = dict(lines)
        self._secret_key = given["SECRET_KEY"]
        env = {**self.env, **given, "STATIC_ROOT": str(self.directory / "static"), "PYTHONUNBUFFERED": "1"}
        program = str(self.directory / "bin/driftwatch-portal")
        self._start([program, "web", "--port", str(self.port), "--processes", "1"], env)
        made = subprocess.run(
            [program, "manage", "shell", "--verbosity", "0", "--command", MAKE_TOKEN],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        self.token = made.stdout.splitlines()[-1]
        eventually(self._answers, "web answers", 120)

    def run(self, page: Path) -> Done:
        """Execute the blocks of a page in order, as one script; the first that fails ends it."""
        root = self.directory / "pages" / page.stem
        self._furnish(root)
        script = root / "script"
        script.write_text("".join([HEAD, *(self._part(block, root) for block in blocks(page) if block.is_executed)]))
        env = {
            **self.env,
            "HOME": str(root),
            "DOCS_ROOT": str(root),
            "DRIFTWATCH_TOKEN": self.token,
            "SETTINGS_DIRECTORY": str(root / "etc/driftwatch"),
        }
        done = subprocess.run(
            ["bash", str(script)],
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=240,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(errors="replace"), root)

    def stop(self) -> None:
        for process in reversed(self._running):
            process.send_signal(signal.SIGINT)  # PostgreSQL's fast stop
            process.wait(30)

    @property
    def env(self) -> dict[str, str]:
        return self._env

    def _start(self, command: list[str], env: dict[str, str] | None = None) -> None:
        with (self.directory / "log").open("ab") as log:
            self._running.append(subprocess.Popen(command, env=env, cwd=self.directory, stdout=log, stderr=log))

    def _answers(self) -> bool:
        assert self._running[-1].poll() is None, (self.directory / "log").read_text()[-2000:]
        try:
            return httpx.get(f"{self.url}/readyz?role=web").status_code == 200
        except httpx.HTTPError:
            return False

    def _unpack_wheel(self) -> None:
        wheels = self.directory / "wheels"
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
        subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=True)
        (portal,) = wheels.glob("driftwatch-*.whl")
        self.wheels = (portal, built_wheel(self.directory / "sensor"))
        with zipfile.ZipFile(portal) as archive:
            archive.extractall(self.directory / "site")
        for name, module in PROGRAMS.items():
            _write_program(self.directory / "bin" / name, f"import sys\nfrom {module} import main\nsys.exit(main())\n")
        # `runuser -u postgres -- COMMAND`: who runs the tests is PostgreSQL's superuser already.
        _write_program(self.directory / "bin/runuser", "import os, sys\nos.execvp(sys.argv[4], sys.argv[4:])\n")
        inherited = {name: value for name, value in os.environ.items() if name in {"LANG", "TMPDIR", "HTTPS_PROXY"}}
        self._env = {
            **inherited,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.directory / "site"),
            "PGHOST": str(self._database.socket_dir),
            "PGPORT": str(self._database_port),
            "PGUSER": postgres.SUPERUSER,
            "PGDATABASE": "postgres",
            "PG_BIN": str(self._database.binaries),
            "DOCS_CHECKOUT": str(ROOT),
            "RUN_PATH": f"{self.directory / 'bin'}:{self._database.binaries}:{os.environ['PATH']}",
            "DRY_PATH": f"{self.directory / 'dry'}:{os.environ['PATH']}",
            "REAL_PATH": os.environ["PATH"],
        }

    def _write_stand_ins(self) -> None:
        text = "import sys\nfrom tests.docs.stand_ins import main\nsys.exit(main(sys.argv))\n"
        for name in STAND_INS:
            _write_program(self.directory / "dry" / name, f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{text}")

    def _furnish(self, root: Path) -> None:
        """Give the page a checkout as its working directory, and the directories of a machine."""
        for name in ("etc/systemd/system", "opt", "srv", "var/lib", "var/backups", "usr/local/bin"):
            (root / name).mkdir(parents=True)
        shutil.copytree(ROOT / "deploy", root / "deploy")
        for name in ("Makefile", "pyproject.toml", "manage.py", ".venv", "sensor"):
            (root / name).symlink_to(ROOT / name)
        for wheel in self.wheels:
            (root / wheel.name).symlink_to(wheel)
        # As `make run` leaves it.
        (root / ".data").mkdir()
        (root / ".data/run").symlink_to(self._database.socket_dir)
        (root / ".data/secret-key").write_text(self._secret_key)
        if self._settings.exists():
            shutil.copytree(self._settings, root / "etc/driftwatch")

    def _part(self, block: Block, root: Path) -> str:
        text = SYSTEM.sub(f"{root}/", block.text)
        path = "$DRY_PATH" if block.mark == DRY_RUN else "$RUN_PATH"
        if block.mark != DRY_RUN:
            text = text.replace(EXAMPLE, self.url).replace(QUEUE, self._queue.url)
        return f'PLACE={block.place}; PATH="{path}"; hash -r\n{text}'


HEAD: Final = """\
set -Eeuo pipefail
trap 'echo "$PLACE: status $? of: $BASH_COMMAND"' ERR
"""


def _write_program(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!{sys.executable}\n{text}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
