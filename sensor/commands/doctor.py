"""`driftwatch-sensor doctor`: try everything that `run` needs on this node, and advise on what fails."""

from __future__ import annotations

import datetime as dt
import os
import platform
import sys
from typing import TYPE_CHECKING, Final

import httpx

from sensor.blocking.doctor_checks import blocking_checks
from sensor.capture import doctor_checks
from sensor.capture.base import DoctorCheck
from sensor.commands.exit_status import ExitStatus
from sensor.container.cri import Cri, CriError
from sensor.container.discovery import discovered_places
from sensor.container.runtime_places import USUAL_PLACES
from sensor.delivery.client import http_client, parsed_http_date
from sensor.delivery.portal_address import InsecureAddress, check_address
from sensor.operations.state_directory import StateDirectory, StateError
from sensor.version import VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sensor.container.runtime_places import RuntimePlace

MAX_SKEW_SECONDS: Final = 600.0
"""How far ahead a clock may be before the portal rejects events as `clock_skew` (docs/wire.md#drift-event)."""


def doctor(arguments: argparse.Namespace) -> int:
    """Print one line per check; FAILED where one failed. Takes no lock: it only looks, beside a running sensor."""
    found = checks(arguments.state, insecure_http=arguments.insecure_http, runtimes=arguments.runtime)
    for check in found:
        status, advice = "ok  " if check.ok else "FAIL", f": {check.advice}" if check.advice else ""
        sys.stdout.write(f"{status}  {check.name}{advice}\n")
    return ExitStatus.OK if all(check.ok for check in found) else ExitStatus.FAILED


def checks(
    state_directory: Path, *, insecure_http: bool = False, runtimes: Sequence[RuntimePlace] = ()
) -> list[DoctorCheck]:
    """Return the result of every check, in the order in which `run` would meet them."""
    return [
        DoctorCheck(f"Sensor {VERSION}, Python {platform.python_version()}, Linux {platform.release()}", ok=True),
        *doctor_checks.probe(),
        *blocking_checks(),
        *_runtimes(runtimes),
        *_state(state_directory, insecure_http=insecure_http),
    ]


def _runtimes(more: Sequence[RuntimePlace]) -> Iterator[DoctorCheck]:
    """Name each runtime that is here, its place and how it was found; ask those of Kubernetes for their version."""
    known = [place for place in dict.fromkeys((*more, *USUAL_PLACES)) if place.is_there or place in more]
    found = [place for place in discovered_places() if place not in known]
    is_one_answering = False
    for place in (*known, *found):
        where = f"{place.directory} ({place.source})"
        if not place.is_there:
            # What only a settings file names may never have been used.
            if place in more or place.source.startswith(("mount", "process")):
                yield DoctorCheck(f"Runtime {place.kind}", ok=False, advice=f"cannot be reached from here: {where}")
        elif place.socket is None or place.kind not in {"containerd", "cri-o"}:
            yield DoctorCheck(f"Runtime {place.kind}", ok=True, advice=where)
        elif os.path.exists(place.socket):  # noqa: PTH110 - Path.exists raises without the right to look
            is_one_answering = True
            yield _kubernetes_runtime(place.socket, where)
    if not is_one_answering:
        yield DoctorCheck(
            "Kubernetes runtime", ok=True, advice="none found; on a cluster node, mount the directory of its socket"
        )


def _kubernetes_runtime(socket: Path, where: str) -> DoctorCheck:
    try:
        return DoctorCheck(f"Kubernetes runtime {Cri(socket).version()}", ok=True, advice=f"{socket}, {where}")
    except CriError as error:
        return DoctorCheck("Kubernetes runtime", ok=False, advice=f"pods have no labels: {error}; is CRI enabled?")


def _state(path: Path, *, insecure_http: bool) -> Iterator[DoctorCheck]:
    """Check the state directory, the identity in it, and the portal that this names."""
    if not path.is_dir():
        yield DoctorCheck("State directory", ok=False, advice=f"{path} is missing; `enrol` creates it")
        return
    yield DoctorCheck("State directory", ok=os.access(path, os.W_OK), advice=str(path))
    state = StateDirectory(path)
    try:
        identity = state.identity()
    except StateError as error:
        yield DoctorCheck("Enrolment", ok=False, advice=str(error))
        return
    if identity is None:
        yield DoctorCheck("Enrolment", ok=False, advice="this node is not enrolled; run `python -m sensor enrol`")
        return
    if state.revoked:
        yield DoctorCheck("Enrolment", ok=False, advice="the portal has revoked this sensor; enrol again")
        return
    yield DoctorCheck("Enrolment", ok=True, advice=f"{identity.node} in {identity.cluster_name}")
    try:
        check_address(identity.api_url, insecure_http=insecure_http)
    except InsecureAddress as error:
        yield DoctorCheck("Portal", ok=False, advice=str(error))
        return
    yield from _portal(identity.api_url)


def _portal(address: str) -> Iterator[DoctorCheck]:
    try:
        with http_client(timeout=10.0) as http:
            response = http.head(address)
    except httpx.HTTPError as error:
        yield DoctorCheck("Portal", ok=False, advice=f"{address} cannot be reached: {error or type(error).__name__}")
        return
    yield DoctorCheck("Portal", ok=response.status_code < 500, advice=f"{address} answers {response.status_code}")
    yield _clock(response.headers.get("Date"))


def _clock(portal_date: str | None) -> DoctorCheck:
    portal_time = parsed_http_date(portal_date)
    if portal_time is None:
        return DoctorCheck("Clock", ok=True, advice="the portal's response has no date to compare with")
    ahead = (dt.datetime.now(dt.UTC) - portal_time).total_seconds()
    offset = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the portal's"
    return DoctorCheck("Clock", ok=abs(ahead) < MAX_SKEW_SECONDS, advice=offset)
