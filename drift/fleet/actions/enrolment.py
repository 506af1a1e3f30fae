"""Enrolment of a node, with every rejection exact under concurrency (docs/delivery.md#enrolment)."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Final

from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from redis import RedisError

from accounts import audit, tokens
from accounts.client_address import network_of
from drift.fleet.actions.delivery import set_desired_version
from drift.fleet.actions.takeover import is_recreated, take_over
from drift.fleet.domain.kubernetes_versions import check_version
from drift.fleet.errors import FleetError, environment_off, sensor_revoked
from drift.fleet.models import Cluster, EnrolmentToken, Environment, Sensor, SensorState, SensorStatus
from drift.fleet.queries.rollout_waves import stable_version_number
from sensor import wire

logger = logging.getLogger(__name__)

MAX_GUESSES: Final = 10
"""Wrong tokens from one address within GUESS_SECONDS; more are answered 429. The right one is never refused."""
GUESS_SECONDS: Final = 60


@dataclass(frozen=True)
class Enrolled:
    """The sensor and its credential, which only this response contains."""

    sensor: Sensor
    credential: str


def enrol_sensor(request: wire.EnrolRequest, address: str) -> Enrolled:
    """Create the node's sensor, or give the live one a new credential if the request has its old one.

    Raises FleetError; the functions below name the codes.
    """
    token = _authentic_token(request.token, address)
    check_version(request.cluster.kubernetes_version, request.cluster.distribution)
    try:
        return _enrol(token.pk, request)
    except IntegrityError:
        # An enrolment of this node with another token committed first; the unique constraint rejected this one.
        raise _node_in_use() from None


@transaction.atomic(durable=True)
def _enrol(token_id: int, request: wire.EnrolRequest) -> Enrolled:
    # The lock makes enrolments with one token wait for each other, so its limit is exact.
    token = EnrolmentToken.objects.select_for_update().get(pk=token_id)
    environment = Environment.objects.get(pk=token.environment_id)
    _check_usable(token, environment)
    cluster = _cluster(token, environment, request.cluster)
    # Without its key: a heartbeat locks its status, then the key of its sensor, and `is_recreated` locks that status.
    rows = Sensor.objects.select_for_update(no_key=True).filter(cluster=cluster, node=request.node)
    live = next((row for row in rows.exclude(state__in=[SensorState.RELEASED, SensorState.RETIRED])), None)
    took_over_at = None
    if live is not None and _is_replaced(live, request):
        take_over(live, request, token.name)
        live, took_over_at = None, timezone.now()
    _check_limit(token, live)
    new = tokens.new_token(tokens.SENSOR)
    sensor = live or Sensor(cluster=cluster, node=request.node, took_over_at=took_over_at, **_quarantine(rows))
    sensor.enrolment_token, sensor.enrolled_at = token, timezone.now()
    sensor.credential_prefix, sensor.credential_digest = new.prefix, new.digest
    sensor.save(force_insert=live is None)
    _record(sensor, request, again=live is not None)
    return Enrolled(sensor, new.token)


def _quarantine(rows: QuerySet[Sensor]) -> dict[str, dt.datetime]:
    """Return the quarantine that a node's new sensor begins with: that of the one before, unless it was released.

    Whoever has a node's credential mostly has its enrolment token too, and would leave the quarantine with it.
    """
    before = rows.order_by("-enrolled_at").first()
    if before is None or before.quarantined_at is None or before.state == SensorState.RELEASED:
        return {}
    now = timezone.now()
    return {"quarantined_at": now, "set_aside_since": now}


def _record(sensor: Sensor, request: wire.EnrolRequest, *, again: bool) -> None:
    """Store its first status, its desired version, and the audit record."""
    SensorStatus.objects.update_or_create(
        sensor=sensor,
        defaults={
            "last_seen_at": timezone.now(),
            "sensor_version": request.sensor_version,
            "kubernetes_version": request.cluster.kubernetes_version or "",
            "capabilities": request.capabilities,
            "machine_digest": request.machine_digest,
            "boot_digest": request.boot_digest,
        },
    )
    number = stable_version_number()
    if number is not None:
        set_desired_version([sensor.pk], number)
    after = {"token": sensor.enrolment_token.name}
    if sensor.set_aside_since is not None:
        after["quarantine"] = sensor.set_aside_since.isoformat()
    audit.record(
        None,
        "enrolled again" if again else "enrolled",
        "sensor",
        sensor.pk,
        name=f"{sensor.cluster.name}/{sensor.node}",
        after=after,
        actor_name=f"Enrolment token {sensor.enrolment_token.name}",
    )


def _authentic_token(text: str, address: str) -> EnrolmentToken:
    """Raise 401 `invalid_token`; 429 `too_many_attempts` after too many wrong tokens from one address.

    The right token passes whatever others tried before: 256 random bits need no protection by a lock, and a lock that
    wrong guesses set would let anybody who reaches the portal keep nodes from enrolling.
    """
    prefix = tokens.public_prefix(text, tokens.ENROLMENT)
    token: EnrolmentToken | None = EnrolmentToken.objects.filter(prefix=prefix).first()
    if token is not None and tokens.matches(text, token.digest):
        return token
    if _count_guess(f"enrolment-guesses:{network_of(address) or 'unknown'}") > MAX_GUESSES:
        message = "Too many wrong tokens. Try again in a minute."
        raise FleetError("too_many_attempts", message, status=429, wait=GUESS_SECONDS)
    raise _invalid_token()


def _count_guess(key: str) -> int:
    """Count a wrong token; return how many there were within GUESS_SECONDS, 0 without Redis."""
    try:
        cache.add(key, 0, GUESS_SECONDS)
        return int(cache.incr(key))
    except (RedisError, ValueError) as error:  # ValueError: the key expired between the calls.
        logger.warning("a wrong enrolment token was not counted: %s", error)
        return 0


def _check_usable(token: EnrolmentToken, environment: Environment) -> None:
    """Raise 403 `token_revoked`, `token_expired` or `environment_off`."""
    if token.revoked_at:
        raise FleetError("token_revoked", "This enrolment token was revoked.")
    if token.expires_at and token.expires_at <= timezone.now():
        raise FleetError("token_expired", "This enrolment token has expired.")
    if not environment.sensor_enabled or environment.retired_at:
        raise environment_off()


def _cluster(token: EnrolmentToken, environment: Environment, info: wire.ClusterInfo) -> Cluster:
    """Return the token's cluster, or the one of this name in its environment; raise 403 `wrong_cluster`."""
    if token.cluster_id:
        cluster = Cluster.objects.get(pk=token.cluster_id)
        if cluster.name != info.name:
            raise FleetError("wrong_cluster", f"This token enrols nodes of {cluster.name} only.", field="cluster.name")
    else:
        cluster, _ = Cluster.objects.get_or_create(
            environment=environment,
            name=info.name,
            defaults={"distribution": info.distribution, "kubernetes_version": info.kubernetes_version},
        )
    # The last enrolment is right about both: clusters are upgraded in place.
    facts = {"distribution": info.distribution, "kubernetes_version": info.kubernetes_version}
    if any(getattr(cluster, name) != value for name, value in facts.items()):
        Cluster.objects.filter(pk=cluster.pk).update(**facts)
    return cluster


def _is_replaced(live: Sensor, request: wire.EnrolRequest) -> bool:
    """Return False for the node itself, by its old credential; True for the one that was made in its place.

    Raise 403 `sensor_revoked` until the node is released; 409 `node_in_use` for any other.
    """
    if live.state == SensorState.REVOKED:
        raise sensor_revoked()
    previous = request.previous_credential
    if previous and tokens.matches(previous, live.credential_digest):
        return False
    if not is_recreated(live, request):
        raise _node_in_use()
    return True


def _check_limit(token: EnrolmentToken, live: Sensor | None) -> None:
    """Raise 403 `token_used_up`; a node that enrols again is not counted twice."""
    others = Sensor.objects.filter(enrolment_token=token, state=SensorState.LIVE).exclude(pk=live.pk if live else None)
    if others.count() >= token.max_live_nodes:
        raise FleetError("token_used_up", f"This token has reached its limit of {token.max_live_nodes} live nodes.")


def _invalid_token() -> FleetError:
    return FleetError("invalid_token", "This is not a valid enrolment token.", status=401)


def _node_in_use() -> FleetError:
    message = (
        "This node has a live sensor. Send its credential too, or have an administrator release the node. "
        "A recreated node takes over once the old sensor is silent for three minutes."
    )
    return FleetError("node_in_use", message, status=409)
