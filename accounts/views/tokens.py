"""A user's own API tokens."""

from __future__ import annotations

import datetime as dt

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from accounts.actions.tokens import create_token
from accounts.actions.tokens import revoke_token as revoke
from accounts.forms.tokens import ApiTokenForm
from accounts.queries.tokens import active_tokens
from accounts.views.requests import UNPROCESSABLE, signed_in_user


def api_tokens(request: HttpRequest) -> HttpResponse:
    """List the user's API tokens; POST creates one, which is shown in this response only."""
    form = ApiTokenForm(request.POST or None)
    token = ""
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        expires_at = timezone.now() + dt.timedelta(days=days) if days else None
        token = create_token(signed_in_user(request), form.cleaned_data["name"], expires_at)
        form = ApiTokenForm()
    context = {"form": form, "created": token, "tokens": active_tokens(signed_in_user(request)), "now": timezone.now()}
    return render(request, "accounts/tokens.html", context, status=UNPROCESSABLE if form.errors else 200)


def token_revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """Revoke one of the user's tokens."""
    if not revoke(signed_in_user(request), token_id):
        raise Http404
    messages.success(request, "Token revoked.")
    return redirect("accounts:tokens")
