"""Sign-in, users, tokens and the audit log. `portal.access` has checked the role before any of these runs."""

from __future__ import annotations

import datetime as dt
from typing import cast

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import LoginView, LogoutView
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from accounts import actions, queries
from accounts.errors import LastOwnerError
from accounts.forms import ApiTokenForm, NewUserForm, PasswordForm, SignInForm, UserForm
from accounts.models import User
from accounts.roles import Role

UNPROCESSABLE = 422


def _user(request: HttpRequest) -> User:
    """Return the signed-in user: the permission table rejects anonymous requests."""
    return cast("User", request.user)


class SignIn(LoginView):
    """The sign-in page."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


class SignOut(LogoutView):
    """POST only: a link or image on another site must not sign a user out."""


def password(request: HttpRequest) -> HttpResponse:
    """Change the user's own password; required after sign-in with a one-time password."""
    user = _user(request)
    form = PasswordForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        actions.change_password(user, form.cleaned_data["new_password"])
        update_session_auth_hash(request, user)
        messages.success(request, "Password changed.")
        return redirect("home")
    status = UNPROCESSABLE if form.errors else 200
    return render(request, "accounts/password.html", {"form": form}, status=status)


def users(request: HttpRequest) -> HttpResponse:
    """List the users; POST adds one, whose one-time password is shown in this response only."""
    form = NewUserForm(request.POST or None)
    added: tuple[User, str] | None = None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            added = actions.create_user(_user(request), email=data["email"], name=data["name"], role=Role(data["role"]))
            form = NewUserForm()
        except IntegrityError:
            form.add_error("email", "A user with this email already exists.")
    context = {"form": form, "added": added, "people": User.objects.order_by("email"), "roles": Role.choices}
    return render(request, "accounts/users.html", context, status=UNPROCESSABLE if form.errors else 200)


def user(request: HttpRequest, user_id: int) -> HttpResponse:
    """Change a user's role, or deactivate the account."""
    person = get_object_or_404(User, pk=user_id)
    form = UserForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return redirect("accounts:users")
    data = form.cleaned_data
    try:
        actions.change_user(_user(request), person.pk, role=Role(data["role"]), is_active=data["is_active"])
    except LastOwnerError:
        messages.error(request, "At least one active Owner is required. Make another user Owner first.")
    else:
        messages.success(request, f"{person.email} changed.")
    return redirect("accounts:users")


def api_tokens(request: HttpRequest) -> HttpResponse:
    """List the user's API tokens; POST creates one, which is shown in this response only."""
    form = ApiTokenForm(request.POST or None)
    token = ""
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        expires_at = timezone.now() + dt.timedelta(days=days) if days else None
        token = actions.create_token(_user(request), form.cleaned_data["name"], expires_at)
        form = ApiTokenForm()
    context = {"form": form, "created": token, "tokens": queries.active_tokens(_user(request)), "now": timezone.now()}
    return render(request, "accounts/tokens.html", context, status=UNPROCESSABLE if form.errors else 200)


def token_revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """Revoke one of the user's tokens."""
    if not actions.revoke_token(_user(request), token_id):
        raise Http404
    messages.success(request, "Token revoked.")
    return redirect("accounts:tokens")


def audit_log(request: HttpRequest) -> HttpResponse:
    """List audit entries, newest first; `before` is the id that the previous page ended with."""
    entries, older = queries.audit_page(_user(request), request.GET.get("before", ""))
    return render(request, "accounts/audit.html", {"entries": entries, "older": older})
