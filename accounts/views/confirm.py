"""Confirm who uses a session before a change with far-reaching effects (docs/sign-in.md#confirming)."""

from __future__ import annotations

from typing import Any, Final

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal.auth import begin_authentication
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.actions.second_factor import record_confirmation, record_failed_confirmation
from accounts.forms.confirm import PREFIX, ConfirmForm
from accounts.passkeys import passkeys_work
from accounts.queries.local_sign_in import linked_account, may_sign_in_locally
from accounts.reauthentication import recently_authenticated, renew_session
from accounts.views.requests import UNPROCESSABLE, signed_in_user

HEADER: Final = "X-Confirm"
"""Marks the response for htmx: js/confirm.js opens it as a dialog and then repeats the request."""


def confirmation(request: HttpRequest) -> HttpResponse | None:
    """Return None if this request confirms its user, else the page that lets them do so.

    The page contains what was posted and posts it again to the same URL, with the confirmation: nothing is stored and
    nothing typed is lost.
    """
    if request.path.startswith("/api/"):
        message = "Confirm who you are in the portal first, or send an API token."
        return JsonResponse({"code": "confirmation_required", "message": message}, status=403)
    fields = {name: values for name, values in request.POST.lists() if not name.startswith(f"{PREFIX}-")}
    is_entered = len(fields) < len(request.POST)
    form = ConfirmForm(request, signed_in_user(request), request.POST if is_entered else None)
    if is_entered and _is_confirmed(request, form):
        # The view must not see the password among its fields.
        request.POST = _query_dict(fields)  # type: ignore[assignment]
        return None
    fields.pop("csrfmiddlewaretoken", None)
    hidden = [(name, value) for name, values in fields.items() for value in values]
    if request.headers.get("HX-Request") == "true":
        response = render(request, "accounts/confirm/dialog.html", _context(request, form), status=UNPROCESSABLE)
        response[HEADER] = "identity"
        return response
    context = _context(request, form) | {"hidden": hidden, "action": request.get_full_path()}
    return render(request, "accounts/confirm/page.html", context, status=UNPROCESSABLE if form.errors else 403)


def confirm(request: HttpRequest) -> HttpResponse:
    """Confirm who uses the session, then continue at `next`; for the dialog 204: it then repeats the request."""
    user = signed_in_user(request)
    form = ConfirmForm(request, user, request.POST if request.method == "POST" else None)
    is_dialog = request.headers.get("HX-Request") == "true"
    if request.method == "POST" and _is_confirmed(request, form):
        return HttpResponse(status=204, headers={"HX-Trigger": "confirmed"}) if is_dialog else redirect(_next(request))
    template = "accounts/confirm/dialog.html" if is_dialog else "accounts/confirm/page.html"
    context = _context(request, form) | {"hidden": [("next", _next(request))], "action": request.path}
    return render(request, template, context, status=UNPROCESSABLE if form.errors else 200)


def passkey_challenge(request: HttpRequest) -> JsonResponse:
    """Return the challenge that one of the user's passkeys signs."""
    return JsonResponse(begin_authentication(signed_in_user(request)))


def _is_confirmed(request: HttpRequest, form: ConfirmForm) -> bool:
    user = signed_in_user(request)
    # By the issuer in another tab meanwhile, without anything entered here.
    if not form.has_changed() and recently_authenticated(request):
        return True
    if form.is_valid():
        renew_session(request)
        record_confirmation(user, form.method)
        return True
    record_failed_confirmation(user)
    return False


def _context(request: HttpRequest, form: ConfirmForm) -> dict[str, Any]:
    user = signed_in_user(request)
    types = set(Authenticator.objects.filter(user_id=user.pk).values_list("type", flat=True))
    return {
        "form": form,
        "has_password": user.has_usable_password() and may_sign_in_locally(user),
        "issuer": settings.OIDC_NAME if settings.OIDC_ISSUER and linked_account(user) else "",
        "has_code": bool(types & {Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES}),
        "has_passkey": Authenticator.Type.WEBAUTHN in types and passkeys_work(),
    }


def _next(request: HttpRequest) -> str:
    url = request.POST.get("next") or request.GET.get("next") or "/"
    return url if url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()}) else "/"


def _query_dict(fields: dict[str, list[str]]) -> QueryDict:
    found = QueryDict(mutable=True)
    for name, values in fields.items():
        found.setlist(name, values)
    return found
