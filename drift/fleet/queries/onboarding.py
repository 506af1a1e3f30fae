"""How far the nodes of an enrolment token are: enrolled, reporting, under the policy, proved."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from accounts.models import Viewer
from drift.fleet.models import Delivery, DeliveryState, EnrolmentToken, Sensor, SensorState
from drift.fleet.queries.sensors import is_offline

PATIENCE: Final = dt.timedelta(seconds=60)
"""How long a step may take until the page says what to check."""


@dataclass(frozen=True)
class Step:
    """One step of the first node: done at `at`, the current one (`is_next`), or a later one."""

    name: str
    label: str
    at: dt.datetime | None
    is_next: bool = False
    is_late: bool = False


@dataclass(frozen=True)
class OnboardingProgress:
    """The steps of the node that is furthest, and how many nodes enrolled and how many of them are ready.

    A node is ready once all steps are behind it, for as long as its sensor reports.
    """

    token: EnrolmentToken
    sensor: Sensor | None
    steps: list[Step]
    enrolled: int
    ready: int
    refusal: str = ""
    """Why its sensor rejected the policy, in the sensor's words."""
    silent_since: dt.datetime | None = None
    """When its sensor reported last, if it no longer does."""

    @property
    def is_done(self) -> bool:
        """Whether all steps are behind the node; it need not be protected any more."""
        return all(step.at for step in self.steps)

    @property
    def is_ready(self) -> bool:
        environment = self.token.environment
        is_on = environment.sensor_enabled and environment.retired_at is None
        return self.is_done and is_on and self.silent_since is None

    @property
    def next_step(self) -> Step | None:
        return next((step for step in self.steps if step.is_next), None)

    @property
    def closed(self) -> str:
        """Why no node can enrol with the token any more: "revoked", "expired", "full", or "" """
        if self.token.revoked_at is not None:
            return "revoked"
        if self.token.expires_at is not None and self.token.expires_at <= timezone.now():
            return "expired"
        return "full" if self.enrolled >= self.token.max_live_nodes else ""


def onboarding_progress(viewer: Viewer, token: EnrolmentToken) -> OnboardingProgress:
    """Return the progress of the token's live nodes."""
    rows = Sensor.objects.visible_to(viewer).filter(enrolment_token=token, state=SensorState.LIVE)
    sensors = list(rows.select_related("status", "proof", "cluster").order_by("enrolled_at")[:NODES])
    wants_proof = token.environment.proved_since is not None
    times = [_times(sensor, wants_proof=wants_proof) for sensor in sensors]
    silent = [_silent_since(sensor) for sensor in sensors]
    furthest = max(
        range(len(sensors)),
        key=lambda place: (sum(map(bool, times[place].values())), silent[place] is None),
        default=None,
    )
    sensor = sensors[furthest] if furthest is not None else None
    found = times[furthest] if furthest is not None else _times(None, wants_proof=wants_proof)
    since = sensor.enrolled_at if sensor is not None else token.created_at
    return OnboardingProgress(
        token,
        sensor,
        _steps(found, is_late=timezone.now() - since > PATIENCE),
        rows.count(),
        sum(all(each.values()) and since is None for each, since in zip(times, silent, strict=True)),
        _refusal(sensor) if sensor is not None else "",
        silent[furthest] if furthest is not None else None,
    )


NODES: Final = 1_000
"""Nodes that are looked at; the first of them are as good as any."""
LABELS: Final = {
    "enrolled": "A node enrolled",
    "reported": "Its sensor reported",
    "applied": "It applied the policy",
    "proved": "It proved its detection",
}


def _times(sensor: Sensor | None, *, wants_proof: bool) -> dict[str, dt.datetime | None]:
    """Return when each step was done, None for those that were not."""
    status, proof = getattr(sensor, "status", None), getattr(sensor, "proof", None)
    is_applied = sensor is not None and sensor.applied_number is not None
    found = {
        "enrolled": sensor.enrolled_at if sensor is not None else None,
        # Enrolment itself writes the row: only a heartbeat names the backend.
        "reported": status.last_seen_at if status is not None and status.backend else None,
        "applied": (sensor.applied_at or sensor.enrolled_at) if sensor is not None and is_applied else None,
    }
    if wants_proof:
        found["proved"] = proof.seen_at if proof is not None else None
    return found


def _silent_since(sensor: Sensor) -> dt.datetime | None:
    """Return when a sensor that reported once did so last, if it no longer does."""
    status = getattr(sensor, "status", None)
    return status.last_seen_at if status is not None and status.backend and is_offline(sensor) else None


def _steps(times: dict[str, dt.datetime | None], *, is_late: bool) -> list[Step]:
    waiting = next((name for name, at in times.items() if at is None), None)
    return [
        Step(name, LABELS[name], at, is_next=name == waiting, is_late=is_late and name == waiting)
        for name, at in times.items()
    ]


def _refusal(sensor: Sensor) -> str:
    rejected = Delivery.objects.filter(sensor=sensor, state=DeliveryState.REJECTED).order_by("-rollout_id").first()
    return rejected.error if rejected is not None and sensor.applied_number is None else ""
