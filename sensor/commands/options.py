"""The command line; docs/sensor.md#commands has the same tables, and a test compares the two."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.version import VERSION

if TYPE_CHECKING:
    from sensor.container.runtime_places import RuntimePlace

STATE_DIRECTORY: Final = Path("/var/lib/driftwatch-sensor")
DISTRIBUTIONS: Final = ("aks", "eks", "gke", "other")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands with their options."""
    top = argparse.ArgumentParser(prog="python -m sensor", description="The Driftwatch sensor for one node.")
    top.add_argument("--version", action="version", version=f"driftwatch-sensor {VERSION}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add_options, text in (
        ("enrol", _enrol, "enrol this node as a sensor"),
        ("run", _run, "capture, decide and report until stopped"),
        ("doctor", _doctor, "check what works on this node"),
        ("health", _health, "check whether the running sensor is healthy"),
    ):
        add_options(commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."))
    return top


def _enrol(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--portal", required=True, metavar="URL", help="the portal's address, such as https://driftwatch.example")
    add(
        "--token",
        default=os.environ.get("DRIFTWATCH_ENROLMENT_TOKEN"),
        help="enrolment token; prefer DRIFTWATCH_ENROLMENT_TOKEN or --token-file: command lines are visible to others",
    )
    add("--token-file", type=Path, metavar="FILE", help="file that holds the enrolment token")
    add("--cluster", required=True, metavar="NAME", help="the cluster that this node belongs to")
    add("--distribution", required=True, choices=DISTRIBUTIONS, help="the cluster's distribution")
    add("--kubernetes-version", metavar="VERSION", help="such as v1.31.2; omit it only on plain hosts (other)")
    add("--node", default=platform.node(), metavar="NAME", help="this node's name (default: the host name)")
    add("--unless-enrolled", action="store_true", help="do nothing if this node is already enrolled")
    add("--capability", action="append", metavar="NAME", help="a capability of this node; repeatable (default: detect)")
    _insecure_http(command)
    _state(command)


def _run(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    _state(command)
    _insecure_http(command)
    add(
        "--capture",
        choices=("auto", "ebpf", "fanotify", "replay"),
        default="auto",
        help="source of execs (default: auto, eBPF or else fanotify)",
    )
    add("--pin-dir", type=Path, metavar="DIR", help="eBPF: bpffs directory that keeps the ring while no sensor runs")
    add("--keep-pins", action="store_true", help="eBPF: keep filling the ring after a stop, for restarts and upgrades")
    add("--libraries", action="store_true", help="eBPF: also capture dropped libraries; about 60 ns per system call")
    add("--replay", nargs="+", type=Path, metavar="FILE", help="replay: recordings to play in a loop")
    add("--replay-speed", type=positive, default=1.0, metavar="FACTOR", help="replay: speed factor (default: 1)")
    add("--replay-once", action="store_true", help="replay: play once, deliver everything, exit with status 0")
    add("--heartbeat-seconds", type=positive, default=60.0, metavar="S", help="time between heartbeats (default: 60)")
    add("--poll-seconds", type=positive, default=300.0, metavar="S", help="time between policy polls (default: 300)")
    add("--no-stream", action="store_true", help="poll only, do not open the push stream")
    add("--window-seconds", type=positive, default=60.0, metavar="S", help="length of a summary (default: 60)")
    add("--alerts-per-minute", type=count, default=60, metavar="N", help="like events sent unaggregated (default: 60)")
    _runtimes(command)
    add(
        "--cluster-api",
        action="store_true",
        help="read owners, labels and probes of pods from the cluster's API server",
    )
    add("--no-blocking", action="store_true", help="block nothing on this node, whatever the policy says")
    add(
        "--kills-per-minute", type=count, default=30, metavar="N", help="files of a workload at its limit (default: 30)"
    )
    add("--workloads-per-rule", type=count, default=5, metavar="N", help="at the limit, to pause a rule (default: 5)")
    add("--spool-mib", type=count, default=256, metavar="MIB", help="maximum disk space for the spool (default: 256)")
    add(
        "--mask-name",
        action="append",
        default=[],
        metavar="NAME",
        help="also mask the values of this name; repeatable",
    )
    add("--metrics-port", type=count, metavar="PORT", help="serve /metrics and /healthz on this port")
    add(
        "--metrics-address",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of that port (default: 127.0.0.1; 0.0.0.0 for a scraper that is not on this host)",
    )
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="lowest level logged to standard error (default: info)",
    )


def _doctor(command: argparse.ArgumentParser) -> None:
    _state(command)
    _runtimes(command)
    _insecure_http(command)


def _runtimes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--runtime",
        action="append",
        type=runtime_place,
        default=[],
        metavar="KIND=PATH",
        help="a container runtime in an unusual place; repeatable",
    )


def _health(command: argparse.ArgumentParser) -> None:
    command.add_argument("port", type=count, metavar="PORT", help="the port given to `run --metrics-port`")


def _insecure_http(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--insecure-http",
        action="store_true",
        default=os.environ.get("DRIFTWATCH_INSECURE_HTTP", "").lower() in {"1", "true", "yes"},
        help="allow a portal without TLS beyond this machine (or DRIFTWATCH_INSECURE_HTTP=true)",
    )


def _state(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--state",
        type=Path,
        default=STATE_DIRECTORY,
        metavar="DIR",
        help=f"state directory (default: {STATE_DIRECTORY})",
    )


def runtime_place(value: str) -> RuntimePlace:
    """Return the place of a runtime. Raises ValueError."""
    # Imported here: `enrol` and `health` need none of what reads runtimes.
    from sensor.container.runtime_places import place_from_option

    return place_from_option(value)


def positive(value: str) -> float:
    """Return a number above 0. Raises ValueError."""
    number = float(value)
    if not 0 < number < 1e9:
        raise ValueError(value)
    return number


def count(value: str) -> int:
    """Return a whole number above 0. Raises ValueError."""
    number = int(value)
    if number < 1:
        raise ValueError(value)
    return number
