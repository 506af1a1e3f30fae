"""The switch that stops all blocking, at once, everywhere."""

from __future__ import annotations

from django.db import transaction

from accounts import audit
from accounts.models import User
from drift.fleet.actions import notify_gateway as gateway
from drift.fleet.actions.bundles import bundle_for, later_than
from drift.fleet.actions.rollouts import raise_epoch
from drift.fleet.domain import push_messages as push
from drift.fleet.models import FleetState
from drift.policy.models import PolicyVersion


def stop_all_blocking(actor: User) -> bool:
    """Every sensor stops blocking, whatever its version and past any wave. False where it was so already."""
    return _switch(actor, stopped=True)


def resume_blocking(actor: User) -> bool:
    """Sensors block again as their policy says. False where it was so already."""
    return _switch(actor, stopped=False)


@transaction.atomic(durable=True)
def _switch(actor: User, *, stopped: bool) -> bool:
    state = FleetState.objects.select_for_update().get()
    if state.blocking_stopped == stopped:
        return False
    newest = PolicyVersion.objects.defer("document").order_by("-number").first()
    state.blocking_stopped = stopped
    state.blocking_changed_at = later_than(state, newest)
    state.save(update_fields=["blocking_stopped", "blocking_changed_at"])
    state.epoch = raise_epoch()
    audit.record(
        actor,
        "stopped" if stopped else "resumed",
        "blocking",
        state.pk,
        name="All blocking",
        before={"blocking_stopped": not stopped},
        after={"blocking_stopped": stopped},
    )
    if newest is not None:
        gateway.push_on_commit(push.PushMessage(state.epoch, newest.number, bundle_for(newest.number, state).etag))
    return True
