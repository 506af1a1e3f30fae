"""Signing keys, for owners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.models import User
from drift.fleet.actions.bundles import ensure_signing_key
from drift.fleet.actions.signing_keys import add_key, promote_key, retire_key
from drift.fleet.errors import FleetError
from drift.fleet.models import SigningKey
from drift.fleet.queries.signing_keys import key_lines
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import polled_fragment

CHANGES: Final[dict[str, tuple[Callable[[User, str], SigningKey], str, str]]] = {
    "promote": (
        promote_key,
        "Promote",
        "It signs every policy from now on. The current key stays accepted until you retire it.",
    ),
    "retire": (
        retire_key,
        "Retire",
        "Sensors reject its signatures permanently. A sensor that accepts no other key must enrol again.",
    ),
}


def keys(request: HttpRequest) -> HttpResponse:
    """Every key and how many sensors accept it; for htmx the table alone."""
    return _page(request)


def add(request: HttpRequest) -> HttpResponse:
    """Add a key, which sensors start to accept."""
    try:
        key = add_key(signed_in_user(request))
    except FleetError as error:
        messages.error(request, str(error.detail))
    else:
        messages.success(request, f"{key.key_id} was added. Promote it once every sensor accepts it.")
    return redirect("fleet:keys")


def change(request: HttpRequest, key_id: str, do: str) -> HttpResponse:
    """Ask for confirmation, then promote or retire a key."""
    if do not in CHANGES:
        raise Http404
    key = get_object_or_404(SigningKey, key_id=key_id)
    action, button, text = CHANGES[do]
    if request.method != "POST":
        panel = {"heading": f"{button} {key.key_id}?", "text": text, "button": button, "back": reverse("fleet:keys")}
        return _page(request, panel=panel | {"action": request.path})
    try:
        action(signed_in_user(request), key_id)
    except FleetError as error:
        messages.error(request, str(error.detail))
    else:
        messages.success(request, f"{key_id} {'is active now' if do == 'promote' else 'is retired'}.")
    return redirect("fleet:keys")


def _page(request: HttpRequest, panel: dict[str, str] | None = None) -> HttpResponse:
    if panel is not None and is_fragment(request):
        return render(request, "fleet/settings/confirm_panel.html", panel)
    ensure_signing_key()  # Before the first Save there may be none: the page shows the one that will sign.
    context = {
        "lines": key_lines(),
        **(panel or {}),
        "panel_template": "fleet/settings/confirm_panel.html" if panel else "",
    }
    if is_fragment(request):
        return polled_fragment(request, "fleet/signing_keys.html#keys", context)
    return render(request, "fleet/signing_keys.html", context)
