"""The command line of `python -m sensor`; docs/sensor.md's tables are made from it."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path
from typing import Final

STATE: Final = Path("/var/lib/driftwatch-sensor")
DISTRIBUTIONS: Final = ("aks", "eks", "gke", "other")


def parser() -> argparse.ArgumentParser:
    """`enrol`, `run` and `doctor` with their options."""
    top = argparse.ArgumentParser(prog="python -m sensor", description="Driftwatch's sensor for one node.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _enrol(commands.add_parser("enrol", help="make this node a sensor", description="Make this node a sensor."))
    _run(commands.add_parser("run", help="watch and report", description="Watch, decide and report until stopped."))
    _doctor(commands.add_parser("doctor", help="say what works here", description="Say what works on this node."))
    return top


def _enrol(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--portal", required=True, metavar="URL", help="the portal's address, as in https://driftwatch.example")
    add(
        "--token",
        default=os.environ.get("DRIFTWATCH_ENROLMENT_TOKEN"),
        help="enrolment token; better by DRIFTWATCH_ENROLMENT_TOKEN or --token-file, as others see command lines",
    )
    add("--token-file", type=Path, metavar="FILE", help="file that holds the enrolment token")
    add("--cluster", required=True, metavar="NAME", help="the cluster that this node belongs to")
    add("--distribution", required=True, choices=DISTRIBUTIONS, help="the cluster's distribution")
    add("--kubernetes-version", metavar="VERSION", help="as in v1.31.2; none only for plain hosts (other)")
    add("--node", default=platform.node(), metavar="NAME", help="this node's name (default: the host's)")
    add("--unless-enrolled", action="store_true", help="do nothing where this node is enrolled already")
    add("--capability", action="append", metavar="NAME", help="what this node can do; repeat (default: what is found)")
    _state(command)


def _run(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    _state(command)
    add(
        "--capture",
        choices=("auto", "ebpf", "fanotify", "replay"),
        default="auto",
        help="where execs come from (default: auto, eBPF or else fanotify)",
    )
    add("--pin-dir", type=Path, metavar="DIR", help="eBPF: bpffs folder that keeps the ring while no sensor runs")
    add("--keep-pins", action="store_true", help="eBPF: go on filling the ring after a stop, as for an upgrade")
    add("--libraries", action="store_true", help="eBPF: also see dropped libraries; costs every system call some 60 ns")
    add("--replay", nargs="+", type=Path, metavar="FILE", help="replay: recordings to play, in a loop")
    add("--replay-speed", type=positive, default=1.0, metavar="FACTOR", help="replay: how fast (default: 1)")
    add("--replay-once", action="store_true", help="replay: play once, deliver everything, end with status 0")
    add("--heartbeat-seconds", type=positive, default=60.0, metavar="S", help="between heartbeats (default: 60)")
    add("--poll-seconds", type=positive, default=300.0, metavar="S", help="between polls for policy (default: 300)")
    add("--no-stream", action="store_true", help="poll only, open no push stream")
    add("--window-seconds", type=positive, default=60.0, metavar="S", help="length of a summary (default: 60)")
    add("--alerts-per-minute", type=count, default=60, metavar="N", help="like events sent as they are (default: 60)")
    add("--no-blocking", action="store_true", help="stop nothing on this node, whatever the policy says")
    add("--kills-per-minute", type=count, default=30, metavar="N", help="of a workload; the rest runs (default: 30)")
    add("--spool-mib", type=count, default=256, metavar="MIB", help="most disk for waiting events (default: 256)")
    add("--mask-name", action="append", default=[], metavar="NAME", help="one more name whose value is secret; repeat")
    add("--metrics-port", type=count, metavar="PORT", help="serve /metrics and /healthz on this port of 127.0.0.1")
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="how much to say on standard error (default: info)",
    )


def _doctor(command: argparse.ArgumentParser) -> None:
    _state(command)


def _state(command: argparse.ArgumentParser) -> None:
    command.add_argument("--state", type=Path, default=STATE, metavar="DIR", help=f"state folder (default: {STATE})")


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError(text)
    return value


def count(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value
