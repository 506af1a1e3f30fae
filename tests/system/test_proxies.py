"""nginx and Caddy with the files of deploy/proxy, in front of real processes: HTTP/2, streams, bodies, restarts."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from cryptography import x509

from drift.fleet.domain import push_messages as push
from portal.command_lines import web_command
from tests.certificates import self_signed
from tests.system.gateways import ticket_of
from tests.system.parts import Parts
from tests.system.stack import ROOT, eventually, free_port
from tests.system.test_portal_half_down import MAKE_ADMIN
from tests.system.test_rolling_restart import MAKE_TOKEN

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]
MIB = 1024 * 1024
NGINX = (
    "daemon off; user root; pid {0}/nginx.pid; error_log stderr; worker_processes 1; events {{}}\n"
    "http {{ access_log off;\n"
)


class Site:
    """A portal with two instances of web, and the proxies in front of both."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.parts = Parts(directory)
        self.second = free_port()
        self.gateway = int(httpx.URL(self.parts.env["STREAM_URL"]).port or 0)
        self.ports = {"nginx": free_port(), "caddy": free_port()}
        self.parts.env |= {"PUBLIC_URL": "https://localhost", "TRUSTED_PROXIES": "1", "TRUST_FORWARDED_PROTO": "true"}
        self.parts.env["STATIC_ROOT"] = str(directory / "static")
        self.token = ""
        self.parts.commands["web"] = web_command(self.parts.port, processes=2)
        self.parts.commands["second"] = web_command(self.second, processes=1)
        certificate, key = self_signed("proxy", x509.DNSName("localhost"))
        (directory / "tls.crt").write_bytes(certificate)
        (directory / "tls.key").write_bytes(key)
        self.trust = ssl.create_default_context(cadata=certificate.decode())
        self._proxies: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self.parts.prepare()
        self.parts.manage("collectstatic", "--no-input", "--verbosity", "0")
        self.parts.manage("shell", "-c", MAKE_ADMIN)
        self.token = self.parts.manage("shell", "-c", MAKE_TOKEN).splitlines()[-1]
        self.parts.start("web", "second", "gateway")
        for name, command in (("nginx", self._nginx()), ("caddy", self._caddy())):
            with (self.directory / f"{name}.log").open("wb") as log:
                env = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory)}
                self._proxies[name] = subprocess.Popen(command, stdout=log, stderr=log, env=env)
            eventually(lambda name=name: self.is_ready(name), f"{name} answers")  # type: ignore[misc]
        second = f"http://127.0.0.1:{self.second}/readyz?role=web"
        eventually(lambda: _status(second) == 200, "the second instance answers", 60)

    def stop(self) -> None:
        for proxy in self._proxies.values():
            proxy.terminate()
            proxy.wait(20)
        self.parts.stop()

    def client(self, name: str) -> httpx.Client:
        """A browser or sensor that speaks HTTP/2 where the proxy does."""
        return httpx.Client(base_url=f"https://localhost:{self.ports[name]}", verify=self.trust, http2=True, timeout=30)

    def is_ready(self, name: str) -> bool:
        assert self._proxies[name].poll() is None, (self.directory / f"{name}.log").read_text()
        try:
            with self.client(name) as client:
                return client.get("/readyz?role=web").status_code == 200
        except httpx.HTTPError:
            return False

    def _nginx(self) -> list[str]:
        web = "server 127.0.0.1:8000 max_fails=0;"
        text = _with(
            (ROOT / "deploy/proxy/nginx.conf").read_text(),
            {
                web: f"server 127.0.0.1:{self.parts.port} max_fails=0; server 127.0.0.1:{self.second} max_fails=0;",
                "127.0.0.1:8001": f"127.0.0.1:{self.gateway}",
                "listen 443": f"listen 127.0.0.1:{self.ports['nginx']}",
                "server_name driftwatch.example": "server_name localhost",
                "/etc/ssl/driftwatch.crt": str(self.directory / "tls.crt"),
                "/etc/ssl/driftwatch.key": str(self.directory / "tls.key"),
            },
        )
        file = self.directory / "nginx.conf"
        file.write_text(f"{NGINX.format(self.directory)}{text}\n}}\n")
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(file)]

    def _caddy(self) -> list[str]:
        tls = f"tls {self.directory / 'tls.crt'} {self.directory / 'tls.key'}"
        text = _with(
            (ROOT / "deploy/proxy/Caddyfile").read_text(),
            {
                "127.0.0.1:8000": f"127.0.0.1:{self.parts.port} 127.0.0.1:{self.second}",
                "127.0.0.1:8001": f"127.0.0.1:{self.gateway}",
                "\ndriftwatch.example {": f"\nlocalhost:{self.ports['caddy']} {{\n\t{tls}",
            },
        )
        file = self.directory / "Caddyfile"
        # Without its own port 80, administration and storage, which other tests' would meet.
        file.write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")
        return [shutil.which("caddy") or "caddy", "run", "--adapter", "caddyfile", "--config", str(file)]


def _with(text: str, replacements: dict[str, str]) -> str:
    for given, ours in replacements.items():
        assert given in text, given
        text = text.replace(given, ours)
    return text


def _status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.HTTPError:
        return 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if missing := [name for name in ("nginx", "caddy") if shutil.which(name) is None]:
        pytest.skip(f"needs {' and '.join(missing)}")
    made = Site(tmp_path_factory.mktemp("p"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


PROXIES = pytest.mark.parametrize("proxy", ["nginx", "caddy"])


@PROXIES
def test_pages_come_by_http_2_and_know_that_the_connection_is_encrypted(site: Site, proxy: str) -> None:
    with site.client(proxy) as client:
        page = client.get("/sign-in/")
    assert (page.http_version, page.status_code) == ("HTTP/2", 200)
    assert "secure" in page.headers["set-cookie"].lower()
    assert page.headers["x-request-id"]


@PROXIES
def test_a_push_passes_at_once_through_a_stream_that_is_otherwise_silent(site: Site, proxy: str) -> None:
    sensor = uuid.uuid4()
    headers = {"Authorization": f"Bearer {ticket_of(sensor)}"}
    events: list[str] = []
    opened = threading.Event()

    def read() -> None:
        with site.client(proxy) as client, client.stream("GET", "/stream", headers=headers) as stream:
            assert stream.status_code == 200
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    events.append(line.removeprefix("event: "))
                    opened.set()
                if events and events[-1] == "policy":
                    return

    reader = threading.Thread(target=read)
    reader.start()
    # The first keep-alive, of a hundred bytes: a proxy that buffers would wait for 4,096.
    assert opened.wait(10)
    broker = redis.Redis.from_url(site.parts.env["REDIS_URL"])
    assert broker.publish(push.CHANNEL, push.encode_push(push.PushMessage(epoch=1, number=7, etag="e")))
    # A buffered one would come with the next keep-alives, 20 s each, if at all.
    reader.join(15)
    assert not reader.is_alive()
    assert events[-1] == "policy"


@PROXIES
def test_a_body_of_15_mib_reaches_the_portal_and_one_of_17_mib_is_refused(site: Site, proxy: str) -> None:
    with httpx.Client(base_url=f"https://localhost:{site.ports[proxy]}", verify=site.trust, timeout=60) as client:
        headers = {"Authorization": f"Bearer {site.token}", "Content-Type": "application/json"}
        ours = client.post("/api/v1/policy/check/", content=b"x" * 15 * MIB, headers=headers)
        assert (ours.status_code, ours.json()["code"]) == (400, "parse_error"), "the portal's own answer"
        refused = client.post("/api/v1/policy/check/", content=b"x" * 17 * MIB, headers=headers)
    assert refused.status_code == 413


@PROXIES
def test_no_request_fails_while_web_is_reloaded_or_one_of_its_instances_is_restarted(site: Site, proxy: str) -> None:
    done, failures, ended = [0], list[str](), threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                with site.client(proxy) as client:
                    status = client.get("/readyz?role=web").status_code
                failures.extend([] if status == 200 else [str(status)])
            except httpx.HTTPError as error:
                failures.append(repr(error))
            done[0] += 1

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        for step in ("reload", "restart"):
            if step == "reload":
                site.parts.signal("web", signal.SIGHUP)
            else:
                site.parts.restart("second")
            url = f"http://127.0.0.1:{site.second}/readyz?role=web"
            eventually(lambda url=url: _status(url) == 200, "the second instance answers", 60)  # type: ignore[misc]
            so_far = done[0]
            eventually(lambda so_far=so_far: done[0] >= so_far + 30, "30 more requests", 60)  # type: ignore[misc]
    finally:
        ended.set()
        for client in clients:
            client.join(60)
    assert failures == []
