"""A user's own API tokens."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.actions.tokens import create_token, revoke_token
from accounts.errors import TokenRefused
from accounts.forms.tokens import ApiTokenForm
from accounts.queries.tokens import active_tokens
from accounts.roles import Role
from accounts.views.requests import UNPROCESSABLE, signed_in_user


def api_tokens(request: HttpRequest) -> HttpResponse:
    """List the user's API tokens; POST creates one, which is shown in this response only."""
    user = signed_in_user(request)
    form = ApiTokenForm(Role(user.role), request.POST or None)
    token = ""
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            token = create_token(
                user,
                data["name"],
                form.expires_at(),
                scopes=data["scopes"],
                requests_per_minute=data["requests_per_minute"],
            )
            form = ApiTokenForm(Role(user.role))
        except TokenRefused as error:
            form.add_error(None, str(error))
    context = {"form": form, "created": token, "tokens": active_tokens(user)}
    return render(request, "accounts/tokens.html", context, status=UNPROCESSABLE if form.errors else 200)


def token_revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """Revoke one of the user's tokens; Owners revoke anybody's."""
    user = signed_in_user(request)
    holder = revoke_token(user, token_id)
    if holder is None:
        raise Http404
    messages.success(request, "Token revoked.")
    return redirect("accounts:tokens") if holder == user.pk else redirect("accounts:user", holder)
