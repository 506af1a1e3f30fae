"""Sign-in, users, tokens and the audit log. Who may call what is in portal.access."""

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

from accounts import actions
from accounts.forms import ApiTokenForm, NewUserForm, PasswordForm, SignInForm, UserForm
from accounts.models import ApiToken, AuditEntry, User
from accounts.roles import Role

AUDIT_PAGE = 50
UNPROCESSABLE = 422


def _user(request: HttpRequest) -> User:
    """The signed-in user: the access table lets nobody else through."""
    return cast("User", request.user)


class SignIn(LoginView):
    """The front door."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


class SignOut(LogoutView):
    """By POST only, so that no link can sign anybody out."""


def password(request: HttpRequest) -> HttpResponse:
    """Change one's own password; where a one-time password was used, one must."""
    user = _user(request)
    form = PasswordForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        actions.change_password(user, form.cleaned_data["new_password"])
        update_session_auth_hash(request, user)
        messages.success(request, "Your password was changed.")
        return redirect("home")
    status = UNPROCESSABLE if form.errors else 200
    return render(request, "accounts/password.html", {"form": form}, status=status)


def users(request: HttpRequest) -> HttpResponse:
    """The list of users, and adding one: the one-time password is shown on the answer only."""
    form = NewUserForm(request.POST or None)
    added: tuple[User, str] | None = None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            added = actions.create_user(_user(request), email=data["email"], name=data["name"], role=Role(data["role"]))
            form = NewUserForm()
        except IntegrityError:
            form.add_error("email", "There is a user with this email already.")
    context = {"form": form, "added": added, "people": User.objects.order_by("email"), "roles": Role.choices}
    return render(request, "accounts/users.html", context, status=UNPROCESSABLE if form.errors else 200)


def user(request: HttpRequest, user_id: int) -> HttpResponse:
    """Change one user's role, or close the account."""
    person = get_object_or_404(User, pk=user_id)
    form = UserForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return redirect("accounts:users")
    data = form.cleaned_data
    try:
        actions.change_user(_user(request), person.pk, role=Role(data["role"]), is_active=data["is_active"])
    except actions.LastOwnerError:
        messages.error(request, "Somebody has to stay Owner: make another user Owner first.")
    else:
        messages.success(request, f"{person.email} was changed.")
    return redirect("accounts:users")


def api_tokens(request: HttpRequest) -> HttpResponse:
    """One's own API tokens; a new one's text is shown on the answer only."""
    form = ApiTokenForm(request.POST or None)
    made = ""
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        expires_at = timezone.now() + dt.timedelta(days=days) if days else None
        made = actions.create_token(_user(request), form.cleaned_data["name"], expires_at)
        form = ApiTokenForm()
    rows = ApiToken.objects.filter(user=_user(request), revoked_at=None).order_by("-created_at")
    context = {"form": form, "made": made, "tokens": rows, "now": timezone.now()}
    return render(request, "accounts/tokens.html", context, status=UNPROCESSABLE if form.errors else 200)


def token_revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """End one of one's own tokens."""
    if not actions.revoke_token(_user(request), token_id):
        raise Http404
    messages.success(request, "The token was revoked.")
    return redirect("accounts:tokens")


def audit_log(request: HttpRequest) -> HttpResponse:
    """Newest first, by keyset: `before` is the id that the last page ended with."""
    entries = AuditEntry.objects.visible_to(request.user).select_related("actor").order_by("-pk")
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        entries = entries.filter(pk__lt=int(before))
    page = list(entries[: AUDIT_PAGE + 1])
    older = page[AUDIT_PAGE - 1].pk if len(page) > AUDIT_PAGE else None
    return render(request, "accounts/audit.html", {"entries": page[:AUDIT_PAGE], "older": older})
