"""What the commands of `python -m sensor` do, and the exit status they end with."""

from __future__ import annotations

import argparse
import contextlib
import enum
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import __version__
from sensor.commands.options import parser

if TYPE_CHECKING:
    from sensor.agent.agent import Agent
    from sensor.capture.base import Capture
    from sensor.delivery.client import PortalError
    from sensor.operations.metrics import Pulse
    from sensor.operations.state_directory import SensorIdentity, StateDirectory
    from sensor.wire import EnrolRequest, EnrolResponse


class Exit(enum.IntEnum):
    """Exit status."""

    OK = 0
    """Done, or stopped by a signal."""
    FAILED = 1
    """Something unexpected; of `doctor`: something does not work here."""
    USAGE = 2
    """The command line is wrong."""
    NO_CAPTURE = 3
    """Execs can't be captured here: no root, neither eBPF nor fanotify, no such recording."""
    NOT_ENROLLED = 4
    """No identity here yet, or the portal refused to enrol this node."""
    UNREACHABLE = 5
    """`enrol` could not reach the portal; `run` never ends for that."""
    NOT_AUTHENTICATED = 6
    """The portal does not know this credential any more."""
    REVOKED = 7
    """The portal has revoked this sensor for good; enrol again."""
    STATE = 8
    """The state folder can't be used, or another sensor uses it."""


class Failure(Exception):
    """Ends the command with one line and a status."""

    def __init__(self, status: Exit, message: str) -> None:
        super().__init__(message)
        self.status = status


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status, having said why on standard error where that is not 0."""
    arguments = parser().parse_args(argv)
    try:
        with _locked(arguments):
            return _COMMANDS[arguments.command](arguments)
    except Failure as failure:
        sys.stderr.write(f"driftwatch-sensor: {failure}\n")
        return failure.status


def enrol(arguments: argparse.Namespace) -> int:
    """Ask the portal to take this node, and keep what it answers."""
    from sensor.delivery.client import PortalClient, PortalError
    from sensor.operations.state_directory import StateDirectory

    state = StateDirectory(arguments.state)
    before = _identity(state)
    if arguments.unless_enrolled and before is not None and not state.revoked:
        sys.stdout.write(f"{before.node} is enrolled already in {before.cluster_name}\n")
        return Exit.OK
    request = _enrol_request(arguments, before)
    try:
        answer = PortalClient(arguments.portal).enrol(request)
    except PortalError as error:
        raise _not_enrolled(error) from None
    state.save_identity(_new_identity(request, answer))
    sys.stdout.write(f"Enrolled {request.node} in {answer.cluster_name} as sensor {answer.sensor_id}\n")
    return Exit.OK


def _enrol_request(arguments: argparse.Namespace, before: SensorIdentity | None) -> EnrolRequest:
    from sensor.wire import ClusterInfo, EnrolRequest

    return EnrolRequest(
        token=_token(arguments),
        cluster=ClusterInfo(arguments.cluster, arguments.distribution, arguments.kubernetes_version),
        node=arguments.node,
        sensor_version=__version__,
        capabilities=_capabilities(arguments.capability),
        previous_credential=before.credential if before else None,
    )


def _new_identity(request: EnrolRequest, answer: EnrolResponse) -> SensorIdentity:
    from sensor.operations.state_directory import SensorIdentity

    return SensorIdentity(
        sensor_id=answer.sensor_id,
        credential=answer.credential,
        provider=answer.provider,
        account=answer.account,
        cluster_name=answer.cluster_name,
        keys=answer.keys,
        api_url=answer.api_url,
        node=request.node,
        cluster=request.cluster,
    )


def _not_enrolled(error: PortalError) -> Failure:
    from sensor.delivery.client import PortalUnavailable

    status = Exit.UNREACHABLE if isinstance(error, PortalUnavailable) else Exit.NOT_ENROLLED
    return Failure(status, f"not enrolled: {error}")


def _token(arguments: argparse.Namespace) -> str:
    """The enrolment token, from wherever it was given."""
    try:
        token: str | None = arguments.token_file.read_text().strip() if arguments.token_file else arguments.token
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Exit.USAGE, f"cannot read the token file: {error}") from None
    if not token:
        raise Failure(Exit.USAGE, "an enrolment token is needed: --token-file FILE or DRIFTWATCH_ENROLMENT_TOKEN")
    return token


def _capabilities(named: list[str] | None) -> list[str]:
    """What the node can do: as the caller says, else what is found by trying."""
    if named is not None:
        return named
    from sensor.capture.backends import found_capabilities

    return found_capabilities()


def run(arguments: argparse.Namespace) -> int:
    """Work until a signal, or until the portal says for good that this is no sensor."""
    from sensor.operations.metrics import Pulse
    from sensor.operations.state_directory import StateDirectory

    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    state = StateDirectory(arguments.state)
    identity = _identity(state)
    if identity is None:
        raise Failure(Exit.NOT_ENROLLED, f"this node is not enrolled: no identity in {state.folder}")
    if state.revoked:
        raise Failure(Exit.REVOKED, "the portal has revoked this sensor; enrol this node again")
    capture = _open_capture(arguments, state, identity)
    try:
        agent = _agent(arguments, state, identity, capture)
    except OSError as error:
        raise Failure(Exit.STATE, f"cannot use the state folder {state.folder}: {error.strerror}") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.running.stopping.set())
    pulse = Pulse()

    def finished() -> bool:
        pulse.beat()  # asked once a turn
        return bool(getattr(capture, "finished", False))

    with _metrics(arguments.metrics_port, agent, pulse):
        agent.run(finished=finished)
    return _ended(agent, state)


def _metrics(port: int | None, agent: Agent, pulse: Pulse) -> contextlib.AbstractContextManager[object]:
    from sensor.operations.metrics import MetricsServer

    if port is None:
        return contextlib.nullcontext()
    try:
        return MetricsServer(port, agent.heartbeat, pulse)
    except OSError as error:
        raise Failure(Exit.USAGE, f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None


def _agent(arguments: argparse.Namespace, state: StateDirectory, identity: SensorIdentity, capture: Capture) -> Agent:
    from sensor.agent.agent import Agent, AgentSettings

    return Agent(
        state,
        identity,
        capture,
        AgentSettings(
            heartbeat_seconds=arguments.heartbeat_seconds,
            poll_seconds=arguments.poll_seconds,
            stream=not arguments.no_stream,
            window_seconds=arguments.window_seconds,
            spool_bytes=arguments.spool_mib * 1024 * 1024,
            alerts_per_minute=arguments.alerts_per_minute,
            blocking=not arguments.no_blocking,
            kills_per_minute=arguments.kills_per_minute,
            mask_names=tuple(arguments.mask_name),
        ),
    )


def _ended(agent: Agent, state: StateDirectory) -> int:
    from sensor.delivery.client import CredentialRejected, SensorRevoked

    fatal = agent.running.fatal
    if isinstance(fatal, SensorRevoked):
        state.revoke()
        raise Failure(Exit.REVOKED, f"stopped for good: {fatal}")
    if isinstance(fatal, CredentialRejected):
        raise Failure(Exit.NOT_AUTHENTICATED, f"stopped, the credential was refused: {fatal}")
    return Exit.OK


def _open_capture(arguments: argparse.Namespace, state: StateDirectory, identity: SensorIdentity) -> Capture:
    from sensor.capture.base import CaptureUnavailable

    try:
        if arguments.capture != "replay":
            from sensor.capture.backends import open_node_capture

            pin_dir = arguments.pin_dir or Path("/sys/fs/bpf") / f"driftwatch-{identity.sensor_id}"
            kept = {"keep_pins": arguments.keep_pins, "libraries": arguments.libraries}
            return open_node_capture(arguments.capture, pin_dir, **kept)
        if not arguments.replay:
            raise Failure(Exit.USAGE, "--capture replay needs --replay FILE")
        from sensor.capture.replay import Replay

        position = state.folder / "replay.json"
        return Replay(arguments.replay, position, speed=arguments.replay_speed, once=arguments.replay_once)
    except CaptureUnavailable as error:
        raise Failure(Exit.NO_CAPTURE, str(error)) from None


@contextlib.contextmanager
def _locked(arguments: argparse.Namespace) -> Iterator[None]:
    """Hold the state folder, which no two processes may work on; `doctor` only looks."""
    from sensor.operations.state_directory import StateDirectory, StateError

    if arguments.command == "doctor":
        yield
        return
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(StateDirectory(arguments.state).lock())
        except StateError as error:
            raise Failure(Exit.STATE, str(error)) from None
        yield


def _identity(state: StateDirectory) -> SensorIdentity | None:
    from sensor.operations.state_directory import StateError

    try:
        return state.identity()
    except StateError as error:
        raise Failure(Exit.STATE, str(error)) from None


def doctor(arguments: argparse.Namespace) -> int:
    """Print one line a check; 1 where something does not work."""
    from sensor.commands.doctor import checks

    found = checks(arguments.state)
    for check in found:
        sys.stdout.write(
            f"{'ok  ' if check.ok else 'FAIL'}  {check.name}{': ' if check.advice else ''}{check.advice}\n"
        )
    return Exit.OK if all(check.ok for check in found) else Exit.FAILED


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"enrol": enrol, "run": run, "doctor": doctor}
