"""From built artefacts alone, in an empty folder: compose.yaml as it is delivered, by podman, and the sensor's image.

The folder holds compose.yaml with its files, and the packaged chart of the sensor; podman holds the images. Nothing of
the checkout is mounted into a container, and the project's network leads nowhere. A stranger's way: prepare.sh writes
the keys, init prints a link, the Owner chooses a password through Caddy's TLS, a sensor enrols through it too, a
container drifts, and the alert is there. With PORTAL_IMAGE and SENSOR_IMAGE these are the images, as of
scripts/image-check.sh; else they are made of the wheels at once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sensor.capture.pins import drop_pins
from tests.system import portal_image, python_image
from tests.system.compose import Compose, images
from tests.system.daemonset import containers
from tests.system.network_namespace import InNamespace
from tests.system.podman import Podman
from tests.system.sensor_places import InPodman
from tests.system.stack import ROOT, eventually
from tests.unit.charts import CHARTS, rendered, run

pytestmark = [pytest.mark.container, pytest.mark.serial, pytest.mark.timeout(600)]

ACCOUNT = "8c2f6a1e-5d0b-4e57-9a34-2f7d61c0b9aa"
EMAIL = "me@drift.example"
PASSWORD = "a long enough passphrase"
URL = "https://localhost"
PATIENCE = 29
"""Seconds, of the Caddyfile's lb_try_duration, after which it answers 502."""


class Folder:
    """What the stranger has: a directory with the artefacts that are files, and the names of those that are images."""

    def __init__(self, path: Path, podman: Podman, scratch: Path) -> None:
        """Make them from the checkout, which nothing uses afterwards; `scratch` is for what is only made on the way."""
        self.path, self._podman = path, podman
        shutil.copytree(ROOT / "deploy/compose", path / "compose")
        packaged = run("package", str(CHARTS / "driftwatch-sensor"), "--destination", str(path))
        assert packaged.returncode == 0, packaged.stderr
        (self.chart,) = path.glob("driftwatch-sensor-*.tgz")
        self.images = images(podman, scratch, os.environ.get("PORTAL_IMAGE") or portal_image.made(podman, scratch))
        self.sensor = os.environ.get("SENSOR_IMAGE") or python_image.sensor(podman, scratch / "sensor")

    def prepare(self) -> Compose:
        """As docs/install.md says; the variables name the images that no registry gives here."""
        names = dict(self.images)
        words = ["sh", "prepare.sh", "localhost", EMAIL, names.pop("IMAGE")]
        subprocess.run(words, cwd=self.path / "compose", capture_output=True, timeout=30, check=True)
        with (self.path / "compose/.env").open("a") as env:
            env.writelines(f"{name}={value}\n" for name, value in names.items())
        return Compose(self._podman, self.path / "compose")


@pytest.fixture(scope="module")
def folder(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    if shutil.which("caddy") is None:
        pytest.skip("needs caddy")
    return Folder(tmp_path_factory.mktemp("empty"), podman, tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def project(folder: Folder) -> Iterator[Compose]:
    running = folder.prepare()
    try:
        running.up()
        yield running
    finally:
        for name, container in running.names.items():
            print(f"— {name}\n{running.log(container)}")  # shown where a test failed


@pytest.fixture(scope="module")
def owner(project: Compose) -> Iterator[httpx.Client]:
    """A browser in which the first Owner has followed the link of `migrate` and signed in."""
    (link,) = re.findall(rf"{URL}/\S+", project.log(project.names["migrate"]))
    with browser(project) as client:
        eventually(lambda: client.get("/readyz?role=web").status_code == 200, "web is ready", 90)
        chosen = post(client, link, {"new_password": PASSWORD, "again": PASSWORD})
        assert chosen.status_code == 200, chosen.text
        signed_in = post(client, "/sign-in/", {"username": EMAIL, "password": PASSWORD})
        assert EMAIL in signed_in.text, signed_in.text
        yield client


def browser(project: Compose) -> httpx.Client:
    """Trusts what Caddy makes for localhost; for a real domain it fetches a certificate in the same way."""
    root = authority(project) / "root.crt"
    eventually(root.exists, "Caddy has a certificate", 30)
    transport = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=str(root)), http2=True)
    through = InNamespace(project.pid("proxy"), transport)
    return httpx.Client(base_url=URL, transport=through, follow_redirects=True, timeout=60)


def authority(project: Compose) -> Path:
    """The directory of Caddy's own authority."""
    return project.volume("caddy") / "caddy/pki/authorities/local"


def post(client: httpx.Client, url: str, fields: dict[str, Any]) -> httpx.Response:
    """Submit the form of a page, as a browser does."""
    page = client.get(url)
    assert page.status_code == 200, (url, page.status_code)
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found, page.text
    data = {**fields, "csrfmiddlewaretoken": found[1]}
    return client.post(str(page.url), data=data, headers={"Referer": str(page.url)})


def test_the_first_owner_signs_in_through_the_proxy(owner: httpx.Client) -> None:
    page = owner.get("/")
    assert (page.http_version, EMAIL in page.text) == ("HTTP/2", True)
    style = re.findall(r'href="(/static/css/[^"]+)"', page.text)[0]
    assert owner.get(style).headers["cache-control"].endswith("immutable")
    assert owner.get("/stream").status_code == 401, "the gateway answers"


def test_every_process_reports_and_every_health_check_passes(project: Compose, owner: httpx.Client) -> None:
    eventually(lambda: owner.get("/readyz").status_code == 200, "all parts are ready", 60)
    assert [name for name in project.services if not project.is_healthy(name)] == []


def test_a_sensor_of_the_image_turns_a_real_drift_into_an_alert(
    project: Compose, folder: Folder, owner: httpx.Client, podman: Podman, tmp_path: Path
) -> None:
    words = ("enrolment_token", f"--environment=azure:{ACCOUNT}:Shop", "--name=nodes")
    token = project.manage(*words).splitlines()[-1]
    sensor = Sensor(project, folder, podman, tmp_path)
    sensor.enrol(token)
    sensor.start()
    try:
        eventually(lambda: " applied" in sensor.log(), "the sensor has applied the policy", 60)
        alert_by_default(project)
        eventually(lambda: "version 2 applied" in sensor.log(), "version 2 is pushed to the sensor", 60)
        drifting = podman.run(podman.image("cart"))
        podman.shell(drifting, "cp /bin/busybox /tmp/busybox && /tmp/busybox true")
        eventually(lambda: "/tmp/busybox" in owner.get("/alerts/").text, "the alert is in the list", 60)
    finally:
        sensor.remove()


class Sensor:
    """The pod of the packaged chart, on a node with podman's storage."""

    def __init__(self, project: Compose, folder: Folder, podman: Podman, directory: Path) -> None:
        self._podman, self._state = podman, directory / "state"
        self._state.mkdir()
        self._project, self._folder = project, folder
        self._place = InPodman(podman, project.network)
        self._name = ""

    def enrol(self, token: str) -> None:
        name, _, tag = self._folder.sensor.rpartition(":")
        values = {
            "portal": URL,
            "cluster": "shop-eu",
            "distribution": "other",
            "runtime": "crio",
            "image": {"repository": name, "tag": tag},
            "enrolment": {"token": token},
            "certificateAuthority": {"configMap": "ca", "key": "root.crt"},
            "kernelBefore511": False,
        }
        places = {"/var/lib/driftwatch-sensor": self._state, "/run/crio": self._state, "ca": authority(self._project)}
        self._pod = containers(rendered(str(self._folder.chart), values), {"token": token}, places)
        enrolled = self._place.start(self._pod["enrol"])
        assert self._place.ended(enrolled) == 0, self._place.log(enrolled)

    def start(self) -> None:
        self._name = self._place.start(self._pod["sensor"])

    def log(self) -> str:
        return self._place.log(self._name)

    def remove(self) -> None:
        """Remove it and what the chart's --keep-pins leaves attached; print what it said."""
        print(f"— sensor\n{self.log()}")
        self._podman.rm(self._name)
        identity = json.loads((self._state / "identity.json").read_text())
        pins = Path("/sys/fs/bpf") / f"driftwatch-{identity['sensor_id']}"
        drop_pins(pins)
        pins.rmdir()


def alert_by_default(project: Compose) -> None:
    """Save a policy that alerts where no rule decides: a new one ignores."""
    policy = json.loads(project.manage("policy", "export", "--format", "json"))
    policy["default"]["action"] = "alert"
    saved = ("policy", "import", "/dev/stdin", "--base", "v1", "--user", EMAIL)
    project.manage(*saved, given=json.dumps(policy).encode())


def test_nothing_of_the_checkout_is_mounted_and_the_network_leads_nowhere(project: Compose) -> None:
    sources = [source for name in project.names for source in project.mounted(name)]
    assert str(project.directory / "Caddyfile") in sources
    assert [source for source in sources if Path(source).is_relative_to(ROOT)] == []
    assert project.interfaces() == ["lo"]


def test_a_backup_is_made_and_read_with_the_image_s_own_programs(project: Compose, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    done = project.run("migrate", "manage", "backup", "/backups/one", volume=f"{tmp_path}:/backups")
    assert "SECRET_KEY belongs to this backup" in done
    assert (tmp_path / "one").stat().st_size > 10_000
    # Into the same database: it is not empty, which the command finds only after it has read the file.
    again = project.run("migrate", "manage", "restore", "/backups/one", volume=f"{tmp_path}:/backups")
    assert "The database is not empty" in again


def test_requests_wait_while_web_restarts_and_none_gets_a_502(project: Compose, owner: httpx.Client) -> None:
    longest: dict[int, float] = {}
    restarting = threading.Thread(target=project.restart, args=("web",))
    restarting.start()
    count = 0
    while restarting.is_alive() or count < 20:
        answer = owner.get("/healthz")
        waited = answer.elapsed.total_seconds()
        longest[answer.status_code] = max(longest.get(answer.status_code, 0.0), waited)
        count += 1
    restarting.join()
    print(f"{count} requests while web restarts; the longest by status: {longest}")
    assert 200 in longest
    # Only a restart that takes longer than the proxy is patient, on a machine that does much else, shows.
    assert all(wait > PATIENCE for status, wait in longest.items() if status != 200), longest
