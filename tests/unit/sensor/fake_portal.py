"""A portal for tests: it serves the sensor's calls (docs/wire.md#calls) on a thread, with responses the test sets."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sensor import policy, wire

CREDENTIAL = "dws_secret"
Answer = tuple[int, Any, dict[str, str]]


def refused(status: int, code: str, **more: Any) -> Answer:
    """Return an error response; `more` may contain `headers`."""
    headers = more.pop("headers", {})
    return status, {"code": code, "message": f"it is {code}", **more}, headers


class FakePortal:
    """`events` are those stored; `script` has the responses to the next calls of a path."""

    def __init__(self) -> None:
        self.events: dict[uuid.UUID, wire.Event] = {}
        self.received = 0
        """Events over all successful POSTs, those sent twice counted twice."""
        self.statuses: list[wire.PolicyStatus] = []
        self.heartbeats: list[wire.Heartbeat] = []
        self.enrolments: list[wire.EnrolRequest] = []
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.script: dict[str, list[Answer]] = {}
        self.always: dict[str, Answer] = {}
        self.judge: Callable[[list[Any]], Answer | None] = lambda _: None
        """Looks at the events of a POST; an answer refuses them."""
        self.bundle: wire.SignedPolicy | None = None
        self.etag = ""
        self.canary_seconds: float | None = None
        self.wants_execs = False
        self.exec_reports: list[wire.ExecReport] = []
        self.pushed: list[bytes] = []
        self.changed = threading.Condition()
        self.keys = {"k1": Ed25519PrivateKey.generate()}
        self.signer = "k1"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def key(self) -> wire.PublicKey:
        """The key that signs now."""
        return self.public(self.signer)

    def public(self, key_id: str) -> wire.PublicKey:
        """Return a key's public half; create the key if there is none of that name."""
        private = self.keys.setdefault(key_id, Ed25519PrivateKey.generate())
        return wire.PublicKey(key_id, base64.b64encode(private.public_key().public_bytes_raw()).decode())

    def publish(self, number: int, document: dict[str, Any] | None = None, **more: Any) -> wire.SignedPolicy:
        """Make a signed bundle the desired one."""
        whole = policy.normalise(document or policy.default_document())
        payload = wire.BundlePayload(
            number=number,
            digest=policy.digest(whole),
            created_at=more.get("created_at", dt.datetime(2026, 11, 24, tzinfo=dt.UTC)),
            blocking_stopped=more.get("blocking_stopped", False),
            document=whole,
            keys=[self.public(key_id) for key_id in more.get("keys", ())],
        )
        self.bundle = self.sign(msgspec.json.encode(payload))
        return self.bundle

    def sign(self, payload: bytes) -> wire.SignedPolicy:
        self.etag = hashlib.sha256(payload).hexdigest()
        signature = base64.b64encode(self.keys[self.signer].sign(payload)).decode()
        return wire.SignedPolicy(self.signer, signature, base64.b64encode(payload).decode())

    def push(self, name: str, data: dict[str, Any]) -> None:
        """Send an event on every open stream."""
        with self.changed:
            self.pushed.append(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
            self.changed.notify_all()

    def wait(self, until: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until a condition on what was received holds; fail the test if it does not in time."""
        with self.changed:
            assert self.changed.wait_for(until, timeout=seconds), "the portal waited in vain"

    @contextmanager
    def serving(self) -> Iterator[FakePortal]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        if self.script.get(path):
            return self.script[path].pop(0)
        if path in self.always:
            return self.always[path]
        if path != "sensors/enrol" and headers.get("Authorization") != f"Bearer {CREDENTIAL}":
            return refused(401, "not_authenticated")
        answers: dict[str, Callable[[bytes, dict[str, str]], Answer]] = {
            "sensors/enrol": self._enrol,
            "sensors/me/policy": self._policy,
            "sensors/me/policy/status": self._status,
            "sensors/me/events": self._events,
            "sensors/me/execs": self._execs,
            "sensors/me/heartbeat": self._heartbeat,
            "sensors/me/stream-ticket": self._ticket,
        }
        return answers[path](body, headers)

    def _enrol(self, body: bytes, _: dict[str, str]) -> Answer:
        request = msgspec.json.decode(body, type=wire.EnrolRequest)
        self.enrolments.append(request)
        answer = wire.EnrolResponse(
            uuid.UUID(int=7), CREDENTIAL, "azure", "sub-1", request.cluster.name, [self.key], self.url
        )
        return 201, answer, {}

    def _policy(self, _: bytes, headers: dict[str, str]) -> Answer:
        if self.bundle is None:
            return refused(404, "no_policy")
        tag = f'"{self.etag}"'
        return (304, None, {"ETag": tag}) if headers.get("If-None-Match") == tag else (200, self.bundle, {"ETag": tag})

    def _status(self, body: bytes, _: dict[str, str]) -> Answer:
        self.statuses.append(msgspec.json.decode(body, type=wire.PolicyStatus))
        return 204, None, {}

    def _events(self, body: bytes, _: dict[str, str]) -> Answer:
        raw = msgspec.json.decode(body, type=wire.EventsRequest).events
        verdict = self.judge([msgspec.json.decode(each) for each in raw])
        if verdict:
            return verdict
        before = len(self.events)
        events = [wire.decode_event(each) for each in raw]
        self.received += len(events)
        for event in events:
            self.events.setdefault(event.event_id, event)
        accepted = len(self.events) - before
        return 200, wire.EventsResponse(accepted, len(events) - accepted), {}

    def _heartbeat(self, body: bytes, _: dict[str, str]) -> Answer:
        self.heartbeats.append(msgspec.json.decode(body, type=wire.Heartbeat))
        return 200, wire.HeartbeatResponse(self.etag or None, self.canary_seconds, wants_execs=self.wants_execs), {}

    def _execs(self, body: bytes, _: dict[str, str]) -> Answer:
        reports = [
            wire.decode_exec_report(each) for each in msgspec.json.decode(body, type=wire.ExecReportsRequest).reports
        ]
        self.exec_reports += reports
        return 200, wire.ExecReportsResponse(sum(len(each.execs) for each in reports), 0), {}

    def _ticket(self, _: bytes, __: dict[str, str]) -> Answer:
        return 200, wire.StreamTicket(f"{self.url}/stream", "ticket-1", dt.datetime.now(dt.UTC)), {}

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer one call of the API."""
        path, headers = request.path.removeprefix("/api/v1/"), dict(request.headers)
        with self.changed:
            self.calls.append((path, headers))
            status, answer, more = self.answer(path, body, headers)
            self.changed.notify_all()
        data = b"" if answer is None else answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
        request.send_response_only(status)
        for name, value in {"Date": request.date_time_string(), **more, "Content-Length": str(len(data))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)

    def stream(self, request: BaseHTTPRequestHandler) -> None:
        """Send the events that are pushed from now on, until one named `end`."""
        assert request.headers["Authorization"] == "Bearer ticket-1"
        sent = len(self.pushed)
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.send_header("Connection", "close")
        request.end_headers()
        with self.changed:
            self.calls.append(("stream", {}))
            self.changed.notify_all()
        data = b""
        while b"event: end" not in data:
            with self.changed:
                while len(self.pushed) == sent:
                    self.changed.wait()
                data, sent = b"".join(self.pushed[sent:]), len(self.pushed)
            request.wfile.write(data)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        return type("Handler", (Handler,), {"portal": self})


class Handler(BaseHTTPRequestHandler):
    """Passes each request to the FakePortal that it serves."""

    protocol_version = "HTTP/1.1"
    portal: FakePortal

    def do_GET(self) -> None:
        self.portal.stream(self) if self.path == "/stream" else self.portal.respond(self, b"")

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.portal.respond(self, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
