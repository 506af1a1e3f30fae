"""The switch that stops all blocking at once, on every sensor."""

from __future__ import annotations

from django.db import transaction

from accounts import audit
from accounts.models import User
from drift.fleet.actions.bundles import signed_bundle
from drift.fleet.actions.pushes import push_on_commit, raise_epoch
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.models import FleetState
from drift.fleet.queries.bundles import next_bundle_date
from drift.policy.models import PolicyVersion


def stop_all_blocking(actor: User) -> bool:
    """Stop blocking on every sensor, whatever its version and wave; return False if it was stopped already."""
    return _switch(actor, stopped=True)


def resume_blocking(actor: User) -> bool:
    """Resume blocking by the policy; return False if it was not stopped."""
    return _switch(actor, stopped=False)


@transaction.atomic(durable=True)
def _switch(actor: User, *, stopped: bool) -> bool:
    state = FleetState.objects.select_for_update().get()
    if state.blocking_stopped == stopped:
        return False
    newest = PolicyVersion.objects.defer("document").order_by("-number").first()
    state.blocking_stopped = stopped
    state.blocking_changed_at = next_bundle_date(state, newest)
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
        # To all sensors, and without a time to spread their fetches over: stopping must not wait.
        push_on_commit(PushMessage(state.epoch, newest.number, signed_bundle(newest.number, state).etag))
    return True
