"""The switch that stops all blocking at once, on every sensor."""

from __future__ import annotations

from enum import Enum
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.queries.current_role import check_current_role
from accounts.roles import Role
from drift.fleet.actions.bundles import signed_bundle
from drift.fleet.actions.pushes import push_on_commit, raise_epoch
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.models import FleetState
from drift.fleet.queries.bundles import next_bundle_date
from drift.fleet.queries.resume_request import resume_requester
from drift.policy.models import PolicyVersion
from drift.policy.queries.approval import approval_rule, can_approve
from drift.policy.queries.versions import latest_number


class Resumption(Enum):
    """What a request to resume blocking did."""

    RESUMED = "resumed"
    ASKED = "asked"
    """It waits for a second person."""
    UNCHANGED = "unchanged"
    """Blocking was not stopped, or the same person has asked already."""


@transaction.atomic(durable=True)
def stop_all_blocking(actor: User, reason: str = "") -> bool:
    """Stop blocking on every sensor, whatever its version and wave; return False if it was stopped already.

    `reason` is shown to everybody; where blocking is stopped already, a new reason replaces the old one. Never waits
    for an approver. Ends a request to resume, also where blocking is stopped already: whoever stops it again has seen
    a reason.
    """
    state = FleetState.objects.select_for_update().get()
    if state.resume_asked_by_id is not None:
        _set_request(state, None)
        _record(actor, "declined resuming", state)
    if state.blocking_stopped and reason and reason != state.blocking_reason:
        _record(actor, "explained", state, before={"reason": state.blocking_reason}, after={"reason": reason})
        state.blocking_reason = reason
        state.save(update_fields=["blocking_reason"])
    return _switch(actor, state, stopped=True, reason=reason)


@transaction.atomic(durable=True)
def resume_blocking(actor: User) -> Resumption:
    """Resume blocking by the policy. Where a second approver is set up, the first request waits for a second person's.

    A request is void once another version has been saved, after a day, and when who asked is no longer an Admin.
    Raises PermissionDenied where the actor is none any more.
    """
    # Locked before the request is read: of two who resume at once, one asks and the other approves.
    state = FleetState.objects.select_for_update().get()
    if not state.blocking_stopped:
        return Resumption.UNCHANGED
    check_current_role(actor, Role.ADMIN)
    if approval_rule().mode == "none":
        _set_request(state, None)
        return _resume(actor, state)
    asked_by = resume_requester(state)
    if asked_by is not None and can_approve(actor, asked_by):
        _set_request(state, None)
        return _resume(actor, state, asked_by)
    if asked_by is not None:
        return Resumption.UNCHANGED
    _set_request(state, actor)
    _record(actor, "asked to resume", state, after={"version": state.resume_version_id})
    return Resumption.ASKED


def _resume(actor: User, state: FleetState, asked_by: User | None = None) -> Resumption:
    _switch(actor, state, stopped=False, asked_by=asked_by)
    return Resumption.RESUMED


def _set_request(state: FleetState, user: User | None) -> None:
    state.resume_asked_by = user
    state.resume_asked_at = timezone.now() if user else None
    state.resume_version_id = latest_number() if user else None
    state.save(update_fields=["resume_asked_by", "resume_asked_at", "resume_version"])


def _switch(actor: User, state: FleetState, *, stopped: bool, reason: str = "", asked_by: User | None = None) -> bool:
    if state.blocking_stopped == stopped:
        return False
    newest = PolicyVersion.objects.defer("document").order_by("-number").first()
    state.blocking_stopped = stopped
    state.blocking_changed_at = next_bundle_date(state, newest)
    state.blocking_reason = reason
    state.save(update_fields=["blocking_stopped", "blocking_changed_at", "blocking_reason"])
    state.epoch = raise_epoch()
    after: dict[str, Any] = {"blocking_stopped": stopped}
    if reason:
        after["reason"] = reason
    if asked_by is not None:
        after["asked_by"] = asked_by.email
    _record(actor, "stopped" if stopped else "resumed", state, before={"blocking_stopped": not stopped}, after=after)
    if newest is not None:
        # To all sensors, and without a time to spread their fetches over: stopping must not wait.
        push_on_commit(PushMessage(state.epoch, newest.number, signed_bundle(newest.number, state).etag))
    return True


def _record(
    actor: User,
    verb: str,
    state: FleetState,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(actor, verb, "blocking", state.pk, name="All blocking", before=before, after=after)
