"""`driftwatch-sensor run`: capture, decide and report until a signal, or until the portal ends it for good."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.agent.agent import Agent, AgentSettings
from sensor.capture.errors import CaptureUnavailable
from sensor.commands.exit_status import CommandError, ExitStatus
from sensor.commands.open_state import identity, locked
from sensor.container.cluster_api import ClusterApi, api_of_cluster
from sensor.delivery.client import CredentialRejected, SensorRevoked
from sensor.delivery.portal_address import InsecureAddress
from sensor.operations.metrics import MetricsServer, Pulse

if TYPE_CHECKING:
    import argparse

    from sensor.capture.base import Capture
    from sensor.operations.state_directory import SensorIdentity, StateDirectory


def run(arguments: argparse.Namespace) -> int:
    """Run the sensor; the exit status says whether restarting it can help (docs/sensor.md#exit-status)."""
    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    with locked(arguments.state) as state:
        enrolled = _enrolled(state)
        capture = _open_capture(arguments, state, enrolled)
        try:
            agent = Agent(state, enrolled, capture, _settings(arguments))
        except InsecureAddress as error:
            raise CommandError(ExitStatus.USAGE, str(error)) from None
        except OSError as error:
            raise CommandError(
                ExitStatus.STATE, f"cannot use the state directory {state.path}: {error.strerror}"
            ) from None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: agent.lifecycle.stopping.set())
        pulse = Pulse()

        def finished() -> bool:
            pulse.beat()  # the agent calls this once per turn of its loop
            return bool(getattr(capture, "finished", False))

        with _metrics(arguments, agent, pulse):
            agent.run(finished=finished)
        return _status(agent, state)


def _enrolled(state: StateDirectory) -> SensorIdentity:
    """Return this node's identity. Raises CommandError where it has none, or the portal revoked it."""
    found = identity(state)
    if found is None:
        raise CommandError(ExitStatus.NOT_ENROLLED, f"this node is not enrolled: {state.path} holds no identity")
    if state.revoked:
        raise CommandError(ExitStatus.REVOKED, "the portal has revoked this sensor; enrol this node again")
    return found


def _open_capture(arguments: argparse.Namespace, state: StateDirectory, enrolled: SensorIdentity) -> Capture:
    try:
        if arguments.capture != "replay":
            from sensor.capture.backends import open_node_capture
            from sensor.container.runtimes import runtimes_of_node

            pin_dir = arguments.pin_dir or Path("/sys/fs/bpf") / f"driftwatch-{enrolled.sensor_id}"
            return open_node_capture(
                arguments.capture,
                pin_dir,
                keep_pins=arguments.keep_pins,
                libraries=arguments.libraries,
                runtimes=runtimes_of_node(node=enrolled.node, more=arguments.runtime, api=_cluster_api(arguments)),
            )
        if not arguments.replay:
            raise CommandError(ExitStatus.USAGE, "--capture replay needs --replay FILE")
        from sensor.capture.replay import Replay

        position = state.path / "replay.json"
        return Replay(arguments.replay, position, speed=arguments.replay_speed, once=arguments.replay_once)
    except CaptureUnavailable as error:
        raise CommandError(ExitStatus.NO_CAPTURE, str(error)) from None


def _cluster_api(arguments: argparse.Namespace) -> ClusterApi | None:
    """Return the API server where it is to be asked. Raises CommandError outside of a cluster."""
    if not arguments.cluster_api:
        return None
    api = api_of_cluster()
    if api is None:
        raise CommandError(ExitStatus.USAGE, "--cluster-api needs a pod with a service account's token")
    return api


def _settings(arguments: argparse.Namespace) -> AgentSettings:
    return AgentSettings(
        heartbeat_seconds=arguments.heartbeat_seconds,
        poll_seconds=arguments.poll_seconds,
        stream=not arguments.no_stream,
        window_seconds=arguments.window_seconds,
        spool_bytes=arguments.spool_mib * 1024 * 1024,
        alerts_per_minute=arguments.alerts_per_minute,
        blocking=not arguments.no_blocking,
        kills_per_minute=arguments.kills_per_minute,
        runtimes=tuple(arguments.runtime),
        cluster_api=_cluster_api(arguments),
        workloads_per_rule=arguments.workloads_per_rule,
        mask_names=tuple(arguments.mask_name),
        insecure_http=arguments.insecure_http,
    )


def _metrics(arguments: argparse.Namespace, agent: Agent, pulse: Pulse) -> contextlib.AbstractContextManager[object]:
    address, port = arguments.metrics_address, arguments.metrics_port
    if port is None:
        return contextlib.nullcontext()
    try:
        return MetricsServer(port, agent.heartbeat, pulse, address)
    except OSError as error:
        raise CommandError(ExitStatus.USAGE, f"cannot listen on {address}:{port}: {error.strerror}") from None


def _status(agent: Agent, state: StateDirectory) -> int:
    fatal = agent.lifecycle.fatal
    if isinstance(fatal, SensorRevoked):
        state.revoke()
        raise CommandError(ExitStatus.REVOKED, f"stopped permanently: {fatal}")
    if isinstance(fatal, CredentialRejected):
        raise CommandError(ExitStatus.NOT_AUTHENTICATED, f"stopped, the portal rejected the credential: {fatal}")
    return ExitStatus.OK
