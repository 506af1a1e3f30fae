"""What works on this node, and what to do about what does not."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sensor.capture.base import DoctorCheck

MOST_SKEW: Final = 600.0
"""Seconds that a clock may be ahead before the portal refuses events (DESIGN: clock_skew)."""


def checks(folder: Path) -> list[DoctorCheck]:
    """Everything that `run` needs, tried for real. `folder` is the state folder."""
    from sensor.blocking.doctor_checks import probe as probe_blocking
    from sensor.capture.doctor_checks import probe

    return [_python(), *probe(), *probe_blocking(), *_runtimes(), *_state(folder)]


def _python() -> DoctorCheck:
    return DoctorCheck(f"Python {platform.python_version()} on Linux {platform.release()}", ok=True)


def _runtimes() -> Iterator[DoctorCheck]:
    """Each Kubernetes runtime whose socket is here is asked for its version; none is fine on a plain host."""
    from sensor.container.containerd import SOCKETS
    from sensor.container.cri import Cri, CriError
    from sensor.container.crio import SOCKET

    # Path.exists raises where one may not look, as without root.
    present = [socket for socket in (*SOCKETS, SOCKET) if os.path.exists(socket)]  # noqa: PTH110
    for socket in present:
        try:
            yield DoctorCheck(f"Kubernetes runtime {Cri(socket).version()}", ok=True, advice=str(socket))
        except CriError as error:
            yield DoctorCheck(
                "Kubernetes runtime", ok=False, advice=f"pods have no labels: {error}; is CRI enabled there?"
            )
    if not present:
        yield DoctorCheck(
            "Kubernetes runtime", ok=True, advice="none here; on a node of a cluster mount its socket's folder"
        )


def _state(folder: Path) -> Iterator[DoctorCheck]:
    """The state folder, what is in it, and the portal that it names."""
    from sensor.operations.state_directory import StateDirectory, StateError

    if not folder.is_dir():
        yield DoctorCheck("State folder", ok=False, advice=f"{folder} is missing; `enrol` makes it")
        return
    yield DoctorCheck("State folder", ok=os.access(folder, os.W_OK), advice=str(folder))
    try:
        identity = StateDirectory(folder).identity()
    except StateError as error:
        yield DoctorCheck("Enrolment", ok=False, advice=str(error))
        return
    if identity is None:
        yield DoctorCheck("Enrolment", ok=False, advice="this node is not enrolled; run `python -m sensor enrol`")
        return
    if StateDirectory(folder).revoked:
        yield DoctorCheck("Enrolment", ok=False, advice="the portal has revoked this sensor; enrol again")
        return
    yield DoctorCheck("Enrolment", ok=True, advice=f"{identity.node} in {identity.cluster_name}")
    yield from _portal(identity.api_url)


def _portal(address: str) -> Iterator[DoctorCheck]:
    import httpx

    from sensor.delivery.client import http_client

    try:
        with http_client(timeout=10.0) as http:
            response = http.head(address)
    except httpx.HTTPError as error:
        yield DoctorCheck("Portal", ok=False, advice=f"{address} cannot be reached: {error or type(error).__name__}")
        return
    yield DoctorCheck("Portal", ok=response.status_code < 500, advice=f"{address} answers {response.status_code}")
    yield _clock(response.headers.get("Date"))


def _clock(portal_date: str | None) -> DoctorCheck:
    from sensor.delivery.client import parsed_http_date

    portal_time = parsed_http_date(portal_date)
    if portal_time is None:
        return DoctorCheck("Clock", ok=True, advice="the portal does not tell its time")
    ahead = (dt.datetime.now(dt.UTC) - portal_time).total_seconds()
    words = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the portal's"
    return DoctorCheck("Clock", ok=abs(ahead) < MOST_SKEW, advice=words)
