"""Sign-in through the OpenID Connect issuer, and linking or confirming an account by it (docs/sign-in.md#issuer)."""

from __future__ import annotations

import time
from typing import Any, Final

from allauth.account.internal.flows.login import record_authentication as record_method
from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts import rate_limits
from accounts.actions.issuer_sign_in import end_sessions_of_subject, link_identity, settle_identity
from accounts.actions.second_factor import record_confirmation
from accounts.actions.sign_in_limits import seconds_to_begin
from accounts.client_address import client_network
from accounts.issuer import (
    LEEWAY_SECONDS,
    Identity,
    IssuerFailed,
    logged_out_subject,
    redirect_to_issuer,
    returned_identity,
)
from accounts.models import User
from accounts.queries.local_sign_in import linked_account
from accounts.reauthentication import ISSUER, renew_session
from accounts.views.requests import TOO_MANY, signed_in_user

MAX_LOGOUTS: Final = 60
"""Logout tokens of one address in a minute."""


@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """Send the browser to the issuer; `next` is where the user wanted to go. 429 to an address that begins too many."""
    if settings.OIDC_ISSUER and (wait := seconds_to_begin(request)):
        response = _failure(request, f"Too many sign-ins. Try again in {wait} seconds.", TOO_MANY)
        response["Retry-After"] = str(wait)
        return response
    return _to_issuer(request, "sign in", _next(request))


@never_cache
def confirm(request: HttpRequest) -> HttpResponse:
    """Send the browser to the issuer, where the user must prove who they are again."""
    return _to_issuer(request, "confirm", "/", again=True)


def link(request: HttpRequest) -> HttpResponse:
    """Ask whether to link the user to the issuer; after the POST, lead there.

    The answer to the POST is a page, not a redirect: the content security policy lets no form lead to another site.
    """
    if not settings.OIDC_ISSUER:
        raise Http404
    target = ""
    if request.method == "POST":
        try:
            target = redirect_to_issuer(request, "link", "/").url
        except IssuerFailed as error:
            return _failure(request, str(error), 503)
    context = {"issuer": settings.OIDC_NAME, "target": target}
    return render(request, "accounts/issuer/link.html", context)


@never_cache
def callback(request: HttpRequest) -> HttpResponse:
    """Take the browser back from the issuer: sign in, link, or confirm."""
    if not settings.OIDC_ISSUER:
        raise Http404
    try:
        identity, state = returned_identity(request)
    except IssuerFailed as error:
        return _failure(request, str(error), 503)
    purpose = state["data"]["purpose"]
    if purpose == "sign in":
        return _sign_in(request, identity, state.get("next"))
    # The session is that of the user who was sent there: a callback of another browser has another state.
    if not isinstance(request.user, User):
        return redirect("account_login")
    return (_confirm if purpose == "confirm" else _link)(request, identity, state)


@csrf_exempt
@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the sessions of the user whom the issuer signed out (back-channel logout): the issuer calls, no browser."""
    if not settings.OIDC_ISSUER:
        raise Http404
    # Each call lets the portal fetch the issuer's keys.
    if rate_limits.count(f"issuer-logout:{client_network(request)}", 60) > MAX_LOGOUTS:
        return _logout_answer("too_many_requests", 429)
    try:
        subject = logged_out_subject(request.POST.get("logout_token", ""))
    except IssuerFailed:
        return _logout_answer("invalid_request", 400)
    end_sessions_of_subject(subject)
    return HttpResponse(status=200, headers={"Cache-Control": "no-store"})


def _logout_answer(error: str, status: int) -> HttpResponse:
    return JsonResponse({"error": error}, status=status, headers={"Cache-Control": "no-store"})


def _to_issuer(request: HttpRequest, purpose: str, next_url: str, *, again: bool = False) -> HttpResponse:
    if not settings.OIDC_ISSUER:
        raise Http404
    try:
        return redirect_to_issuer(request, purpose, next_url, again=again)
    except IssuerFailed as error:
        return _failure(request, str(error), 503)


def _sign_in(request: HttpRequest, identity: Identity, next_url: str | None) -> HttpResponse:
    outcome = settle_identity(identity)
    if outcome.user is None:
        return _refused(request, outcome.refusal)
    record_method(request, outcome.user, ISSUER)
    response: HttpResponse = perform_login(request, outcome.user, redirect_url=next_url or "/")
    return response


def _link(request: HttpRequest, identity: Identity, state: dict[str, Any]) -> HttpResponse:
    if refusal := link_identity(signed_in_user(request), identity):
        return _failure(request, refusal, 409)
    messages.success(request, f"Linked. From now on you sign in by {settings.OIDC_NAME}.")
    return redirect("mfa_index")


def _confirm(request: HttpRequest, identity: Identity, state: dict[str, Any]) -> HttpResponse:
    user = signed_in_user(request)
    account = linked_account(user)
    if account is None or account.uid != identity.subject:
        return _failure(request, "That is another account than the one you are signed in with.", 403)
    if not _is_recent(identity, state["data"]["begun_at"]):
        return _failure(request, "You did not sign in there again. Nothing was confirmed.", 403)
    # It is a sign-in: who has lost their groups since the last one confirms nothing.
    outcome = settle_identity(identity)
    if outcome.user is None:
        return _refused(request, outcome.refusal)
    renew_session(request)
    record_confirmation(user, ISSUER)
    return render(request, "accounts/issuer/confirmed.html")


def _is_recent(identity: Identity, begun_at: float) -> bool:
    """Return whether the user signed in there after we sent them; a number may be NaN, or of another unit."""
    at = identity.authenticated_at
    return at is not None and begun_at - LEEWAY_SECONDS <= at <= time.time() + LEEWAY_SECONDS


def _refused(request: HttpRequest, reason: str) -> HttpResponse:
    """Refuse a user whom the issuer named. Their groups may have ended the very session that asked."""
    key = request.session.session_key
    if key and not request.session.exists(key):
        request.session.flush()
    return _failure(request, reason, 403)


def _failure(request: HttpRequest, reason: str, status: int) -> HttpResponse:
    context = {"reason": reason, "local_sign_in": settings.LOCAL_SIGN_IN}
    return render(request, "accounts/issuer/failure.html", context, status=status)


def _next(request: HttpRequest) -> str:
    url = request.GET.get("next", "")
    return url if url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()}) else "/"
