"""From built artefacts alone: the portal's and the sensor's image, PostgreSQL, Valkey and a proxy with TLS.

Nothing of the checkout is mounted into a container, and none has a network but this machine's loopback. A stranger's
way: init prints a link, the Owner chooses a password, makes an environment and an enrolment token, a sensor enrols
through the proxy, a container drifts, and the alert is there.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from portal.embedded import postgres, valkey
from sensor.capture.pins import drop_pins
from tests.system import python_image
from tests.system.daemonset import containers
from tests.system.podman import Podman
from tests.system.sensor_places import InPodman
from tests.system.stack import ROOT, eventually, free_port
from tests.unit.charts import rendered
from tests.unit.sensor.deployed import built_wheel

pytestmark = [pytest.mark.container, pytest.mark.serial]

ACCOUNT = "8c2f6a1e-5d0b-4e57-9a34-2f7d61c0b9aa"
PASSWORD = "a long enough passphrase"
RESTRICTED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")
"""As the chart's pods run."""


class Site:
    """What an operator has: a database, a queue, a proxy and the processes of the portal."""

    def __init__(self, directory: Path, podman: Podman, image: str) -> None:
        self.podman, self.image, self.directory = podman, image, directory
        self.database = postgres.Postgres(directory / "pg", directory / "run", postgres.find_binaries())
        self.queue = valkey.Valkey(directory / "valkey", directory / "run" / "v.sock", valkey.find_binary())
        self.web, self.gateway, self.tls = free_port(), free_port(), free_port()
        self.url = f"https://localhost:{self.tls}"
        self.names: dict[str, str] = {}
        self._servers: list[subprocess.Popen[bytes]] = []

    def start_services(self) -> None:
        """PostgreSQL, Valkey and nginx."""
        for service in (self.database, self.queue):
            service.prepare()
            self._serve(service.command())
        self.database.ensure_database()
        self.queue.wait()
        # The processes in containers are another user, whom only the mode of the sockets lets in.
        (self.directory / "run").chmod(0o755)
        for socket in (self.directory / "run").iterdir():
            if socket.is_socket():
                socket.chmod(0o777)
        self._serve(["nginx", "-c", str(self._nginx_configuration())])

    def _serve(self, command: list[str]) -> None:
        with (self.directory / "services.log").open("ab") as log:
            self._servers.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _nginx_configuration(self) -> Path:
        """deploy/proxy/nginx.conf with this site's names, ports and certificate."""
        certificate, key = self_signed(self.directory)
        text = (ROOT / "deploy/proxy/nginx.conf").read_text()
        for given, ours in (
            ("127.0.0.1:8000", f"127.0.0.1:{self.web}"),
            ("127.0.0.1:8001", f"127.0.0.1:{self.gateway}"),
            ("listen 443", f"listen 127.0.0.1:{self.tls}"),
            ("server_name driftwatch.example", "server_name localhost"),
            ("/etc/ssl/driftwatch.crt", str(certificate)),
            ("/etc/ssl/driftwatch.key", str(key)),
        ):
            assert given in text
            text = text.replace(given, ours)
        whole = self.directory / "nginx.conf"
        whole.write_text(
            f"daemon off; user root; pid {self.directory}/nginx.pid; error_log stderr; worker_processes 1;\n"
            f"events {{}}\nhttp {{ access_log off;\n{text}\n}}\n"
        )
        return whole

    def run(self, name: str, *words: str, **more: str) -> str:
        """Start one process of the portal; returns the container's name."""
        run = str(self.directory / "run")
        settings = {
            "SECRET_KEY_FILE": "/run/secrets/key",
            "PUBLIC_URL": self.url,
            "STREAM_URL": f"{self.url}/stream",
            "TRUSTED_PROXIES": "1",
            "TRUST_FORWARDED_PROTO": "true",
            "DATABASE_URL": f"postgresql://{postgres.PORTAL_ROLE}@/driftwatch?host={quote(run, safe='')}",
            "REDIS_URL": self.queue.url,
            **more,
        }
        options = [*RESTRICTED, *(f"--env={key}={value}" for key, value in settings.items())]
        secret = self.directory / "key"
        if not secret.exists():
            secret.write_text("only for this test, long enough to be a key")
            secret.chmod(0o444)
        self.names[name] = self.podman.run(
            self.image,
            *words,
            volumes=[f"{run}:{run}", f"{secret}:/run/secrets/key:ro"],
            tmpfs=["/tmp", "/data"],
            options=options,
            network="host",
        )
        return self.names[name]

    @property
    def trust(self) -> ssl.SSLContext:
        """What clients trust: the proxy's certificate alone."""
        return ssl.create_default_context(cafile=str(self.directory / "tls.crt"))

    def has_ended(self, name: str) -> bool:
        state = self.podman.command("inspect", "--format={{.State.Running}}", self.names[name]).stdout
        return state.strip() == b"false"

    def log(self, name: str) -> str:
        done = self.podman.command("logs", self.names[name])
        return (done.stdout + done.stderr).decode()

    def manage(self, *words: str, given: bytes = b"") -> str:
        """Return what a command prints in web's container; its standard input is `given`."""
        done = self.podman.exec(self.names["web"], "driftwatch-portal", "manage", *words, stdin=given)
        return done.stdout.decode()

    def stop(self) -> None:
        for server in reversed(self._servers):
            server.send_signal(signal.SIGINT)  # PostgreSQL's fast stop
            server.wait(timeout=20)


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate for localhost, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "tls.crt", directory / "tls.key"


def portal_image(podman: Podman, directory: Path) -> str:
    """The portal's image, made of its wheel; the static files are collected as the Containerfile does it."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, capture_output=True, timeout=120, check=True)
    (wheel,) = directory.glob("driftwatch-*.whl")
    static = directory / "static"
    environment = {
        **os.environ,
        "SECRET_KEY": "build",
        "DATABASE_URL": "postgresql://build@build/build",
        "REDIS_URL": "redis://build/0",
        "MIGRATION_DATABASE_URL": "",
        "STATIC_ROOT": str(static),
    }
    collect = [sys.executable, "-m", "portal.program", "collect"]
    subprocess.run(collect, cwd=ROOT, env=environment, capture_output=True, timeout=120, check=True)
    archive = directory / "portal.tar"
    # As python:3.13-slim has it, for Celery.
    files = {"usr/local/share/driftwatch/static": static, "usr/share/zoneinfo/UTC": Path("/usr/share/zoneinfo/UTC")}
    python_image.write(archive, wheel, python_image.PORTAL, files)
    return podman.imported("driftwatch-portal:1", archive, *python_image.PORTAL.changes)


@pytest.fixture(scope="module")
def site(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx")
    directory = tmp_path_factory.mktemp("s")
    made = Site(directory, podman, portal_image(podman, tmp_path_factory.mktemp("portal")))
    made.start_services()
    yield made
    for name in made.names:
        print(f"— {name}\n{made.log(name)}")  # shown where the test failed
    made.stop()


def token_of(page: httpx.Response) -> str:
    """The CSRF token of a page's form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def post(browser: httpx.Client, url: str, fields: dict[str, Any]) -> httpx.Response:
    """Submit the form of a page, as a browser does."""
    page = browser.get(url)
    assert page.status_code == 200, (url, page.status_code)
    data = {**fields, "csrfmiddlewaretoken": token_of(page)}
    return browser.post(str(page.url), data=data, headers={"Referer": str(page.url)})


def test_a_stranger_goes_from_artefacts_to_a_real_alert(
    site: Site, podman: Podman, tmp_path_factory: pytest.TempPathFactory
) -> None:
    owner = {"MIGRATION_DATABASE_URL": site.database.url()}
    site.run("init", "init", "me@drift.example", **owner)
    eventually(lambda: site.has_ended("init"), "the database is migrated", 180)
    (link,) = re.findall(rf"{re.escape(site.url)}/\S+", site.log("init"))
    site.run("web", "web", "--port", str(site.web), "--processes", "2")
    site.run("gateway", "gateway", "--port", str(site.gateway))
    site.run("worker", "worker")
    site.run("beat", "beat")
    with httpx.Client(base_url=site.url, verify=site.trust, follow_redirects=True, timeout=30) as browser:
        eventually(lambda: _is_ready(browser), "web is ready", 90)
        _sign_in(browser, link)
        page = browser.get("/")
        assert "me@drift.example" in page.text
        style = re.findall(r'href="(/static/css/[^"]+)"', page.text)[0]
        assert browser.get(style).headers["cache-control"].endswith("immutable")
        token = site.manage("enrolment_token", f"--environment=azure:{ACCOUNT}:Shop", "--name=nodes").splitlines()[-1]
        with running_sensor(site, podman, token, tmp_path_factory.mktemp("sensor")) as sensor:
            eventually(lambda: " applied" in sensor.log(), "the sensor has applied the policy", 60)
            alert_by_default(site)
            eventually(lambda: "version 2 applied" in sensor.log(), "version 2 is pushed to the sensor", 30)
            drifting = podman.run(podman.image("cart"))
            podman.shell(drifting, "cp /bin/busybox /tmp/busybox && /tmp/busybox true")
            eventually(lambda: "/tmp/busybox" in browser.get("/alerts/").text, "the alert is in the list", 60)


def alert_by_default(site: Site) -> None:
    """Save a policy that alerts where no rule decides: a new one ignores."""
    policy = json.loads(site.manage("policy", "export", "--format", "json"))
    policy["default"]["action"] = "alert"
    saved = ("policy", "import", "/dev/stdin", "--base", "v1", "--user", "me@drift.example")
    site.manage(*saved, given=json.dumps(policy).encode())


def _is_ready(browser: httpx.Client) -> bool:
    try:
        return browser.get("/readyz?role=web").status_code == 200
    except httpx.HTTPError:
        return False


def _sign_in(browser: httpx.Client, link: str) -> None:
    """Choose a password by the one-time link, and sign in with it."""
    chosen = post(browser, link, {"new_password": PASSWORD, "again": PASSWORD})
    assert chosen.status_code == 200, chosen.text
    signed_in = post(browser, "/sign-in/", {"username": "me@drift.example", "password": PASSWORD})
    assert "me@drift.example" in signed_in.text, signed_in.text


class Sensor:
    """The chart's pod on this node."""

    def __init__(self, podman: Podman, name: str, state: Path) -> None:
        self._podman, self._name, self._state = podman, name, state

    def log(self) -> str:
        done = self._podman.command("logs", self._name)
        return (done.stdout + done.stderr).decode()

    def remove(self) -> None:
        """Remove it and what the chart's --keep-pins leaves attached; print what it said."""
        print(f"— sensor\n{self.log()}")
        self._podman.rm(self._name)
        identity = json.loads((self._state / "identity.json").read_text())
        pins = Path("/sys/fs/bpf") / f"driftwatch-{identity['sensor_id']}"
        drop_pins(pins)
        pins.rmdir()


@contextlib.contextmanager
def running_sensor(site: Site, podman: Podman, token: str, directory: Path) -> Iterator[Sensor]:
    """Enrol and run the sensor's image as the chart says, on a node with podman's storage."""
    python_image.write(directory / "image.tar", built_wheel(directory), python_image.SENSOR)
    image = podman.imported("driftwatch-sensor:1", directory / "image.tar", *python_image.SENSOR.changes)
    name, _, tag = image.rpartition(":")
    values = {
        "portal": site.url,
        "cluster": "shop-eu",
        "distribution": "other",
        "runtime": "crio",
        "image": {"repository": name, "tag": tag},
        "enrolment": {"token": token},
        "certificateAuthority": {"configMap": "ca", "key": "tls.crt"},
        "kernelBefore511": False,
    }
    state = directory / "state"
    state.mkdir()
    places = {"/var/lib/driftwatch-sensor": state, "/run/crio": state, "ca": site.directory}
    of_pod = containers(rendered("driftwatch-sensor", values), {"token": token}, places)
    place = InPodman(podman)
    enrolled = place.start(of_pod["enrol"])
    assert place.ended(enrolled) == 0, place.log(enrolled)
    sensor = Sensor(podman, place.start(of_pod["sensor"]), state)
    try:
        yield sensor
    finally:
        sensor.remove()
