"""Every process is restarted in turn under load: no request fails, no event is lost, no sensor is left behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from portal.command_lines import web_command
from tests.system.parts import Parts
from tests.system.stack import eventually
from tests.system.test_backup import drift_recording
from tests.system.test_portal_half_down import MAKE_ADMIN, Node, save

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
REQUESTS = 2_000
MAKE_TOKEN = (
    "import datetime as dt; from django.utils import timezone; from accounts import tokens; "
    "from accounts.models import ApiToken, User; from accounts.models.tokens import MAX_REQUESTS_PER_MINUTE as most; "
    "new = tokens.new_token(tokens.PERSON); "
    "ApiToken.objects.create(user=User.objects.get(email='admin@example.com'), name='load', prefix=new.prefix, "
    "digest=new.digest, scopes=['read'], requests_per_minute=most, "
    "expires_at=timezone.now() + dt.timedelta(days=1)); print(new.token)"
)


class Load:
    """Clients that request one after another; what went wrong is in `failures`."""

    def __init__(self, url: str, token: str, clients: int = 4) -> None:
        self.done, self.failures = 0, list[str]()
        self._url, self._headers = f"{url}/api/v1/environments/", {"Authorization": f"Bearer {token}"}
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        while not self._ended.is_set():
            # A connection each, as through a proxy that keeps none: an idle one may be closed at any moment.
            try:
                # Without `verify=False` each would read all authorities, though there is no TLS: 20 ms of CPU.
                response = httpx.get(self._url, headers=self._headers, timeout=60, verify=False)
                status = response.status_code
                failure = "" if status == 200 else str(status)
            except httpx.HTTPError as error:
                failure = repr(error)
            with self._lock:
                self.done += 1
                if failure:
                    self.failures.append(failure)


@pytest.fixture
def parts(directory: Path) -> Iterator[Parts]:
    made = Parts(directory)
    made.commands["web"] = web_command(made.port, processes=2)
    try:
        made.prepare()
        yield made
    finally:
        made.stop()


def test_a_rolling_restart_fails_no_request_and_loses_no_event(parts: Parts, tmp_path: Path) -> None:
    parts.manage("shell", "-c", MAKE_ADMIN)
    parts.start("web", "gateway", "worker", "beat")
    token = parts.manage("shell", "-c", MAKE_TOKEN).splitlines()[-1]
    node = Node(parts, tmp_path, drift_recording(tmp_path / "recording.jsonl"))
    node.enrol()
    node.start()
    eventually(lambda: node.number() == 1, "version 1 is applied", 60)
    load = Load(parts.url, token)
    try:
        for share, name in enumerate(("web", "gateway", "worker", "beat", "web"), 1):
            at = share * REQUESTS // 6
            eventually(lambda at=at: load.done >= at, f"{at} requests", 150)  # type: ignore[misc]
            if name == "web":
                # Its workers one by one; their parent keeps the port.
                parts.signal("web", signal.SIGHUP)
            else:
                parts.restart(name)
            if name == "gateway":
                save(parts, 1, "alert")
        eventually(lambda: load.done >= REQUESTS, f"{REQUESTS} requests", 150)
    finally:
        load.end()
    assert load.failures == []
    assert load.done >= REQUESTS
    eventually(lambda: node.number() == 2, "version 2 is applied", 60)
    node.stop()
    # Each second one file of its own ran, and is one event: a gap is a loss.
    paths = "SELECT file.path FROM alerts_binary AS file JOIN alerts_driftevent AS event ON event.binary_id = file.id"
    seconds = sorted(int(path.rsplit("/", 1)[1]) for (path,) in parts.rows(paths))
    assert len(seconds) > 10
    assert seconds == list(range(len(seconds)))
