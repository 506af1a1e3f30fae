"""The keys that sign bundles, in an owner's hands."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.models import User
from drift.fleet.actions.signing_keys import add_key, promote_key, retire_key
from drift.fleet.errors import FleetError
from drift.fleet.models import SigningKey
from drift.fleet.queries.signing_keys import key_lines
from drift.fleet.views.responses import is_htmx, live, user_of

CHANGES: dict[str, tuple[Callable[[User, str], SigningKey], str, str]] = {
    "promote": (
        promote_key,
        "Promote",
        "It signs from now on. The key that signs now stays accepted, for sensors that are away, until you retire it.",
    ),
    "retire": (
        retire_key,
        "Retire",
        "Sensors refuse what it signs, for good; one that knows no other must enrol again.",
    ),
}


def keys(request: HttpRequest) -> HttpResponse:
    """Every key and who accepts it. For htmx the live part alone."""
    return _page(request)


def add(request: HttpRequest) -> HttpResponse:
    """A new key, which sensors learn now."""
    try:
        key = add_key(user_of(request))
    except FleetError as refused:
        messages.error(request, str(refused.detail))
    else:
        messages.success(request, f"{key.key_id} was added. Promote it once every sensor knows it.")
    return redirect("fleet:keys")


def change(request: HttpRequest, key_id: str, do: str) -> HttpResponse:
    """Ask, then promote or retire."""
    if do not in CHANGES:
        raise Http404
    key = get_object_or_404(SigningKey, key_id=key_id)
    action, button, text = CHANGES[do]
    if request.method != "POST":
        asked = {"heading": f"{button} {key.key_id}?", "text": text, "button": button, "back": reverse("fleet:keys")}
        return _page(request, panel=asked | {"action": request.path})
    try:
        action(user_of(request), key_id)
    except FleetError as refused:
        messages.error(request, str(refused.detail))
    else:
        messages.success(request, f"{key_id} {'signs from now on' if do == 'promote' else 'is retired'}.")
    return redirect("fleet:keys")


def _page(request: HttpRequest, panel: dict[str, str] | None = None) -> HttpResponse:
    if panel is not None and is_htmx(request):
        return render(request, "fleet/confirm_panel.html", panel)
    context = {"lines": key_lines(), **(panel or {}), "panel_template": "fleet/confirm_panel.html" if panel else ""}
    if is_htmx(request):
        return live(request, "fleet/signing_keys.html#keys", context)
    return render(request, "fleet/signing_keys.html", context)
