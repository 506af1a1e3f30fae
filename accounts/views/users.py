"""The pages on which Owners manage users and service accounts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actions import links, sessions, tokens
from accounts.actions.email_verification import send_verification
from accounts.actions.users import change_user, create_service_account, invite_user
from accounts.errors import AddressTaken, LastOwnerError, LinkRefused, TokenRefused
from accounts.forms.tokens import ApiTokenForm
from accounts.forms.users import NewServiceAccountForm, NewUserForm, UserForm
from accounts.models import User
from accounts.queries.links import GIVEN_LINKS
from accounts.queries.second_factor import users_with_second_factor
from accounts.queries.sessions import sessions_of
from accounts.queries.tokens import active_tokens, tokens_known_to
from accounts.roles import Role
from accounts.views.requests import UNPROCESSABLE, current_session, signed_in_user

TAKEN = "A user with this email already exists."
SERVICE_IDS, TOKEN_IDS = "service_%s", "token_%s"
"""Ids of the second form of a page, which has fields of the same names as the first."""


def users(request: HttpRequest) -> HttpResponse:
    """List the users; POST invites one: the link is sent, or shown in this response only."""
    form = NewUserForm(request.POST or None)
    context: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            person, url = invite_user(
                signed_in_user(request), email=data["email"], name=data["name"], role=Role(data["role"])
            )
        except AddressTaken:
            form.add_error("email", TAKEN)
        else:
            context = _delivered(person, url, show=data["show_link"])
            form = NewUserForm()
    return _users_page(request, context | {"form": form, "service_form": NewServiceAccountForm(auto_id=SERVICE_IDS)})


def service_account_add(request: HttpRequest) -> HttpResponse:
    """Add a service account, and lead to its page, where its tokens are created."""
    form = NewServiceAccountForm(request.POST, auto_id=SERVICE_IDS)
    if form.is_valid():
        try:
            account = create_service_account(
                signed_in_user(request), name=form.cleaned_data["name"], role=Role(form.cleaned_data["role"])
            )
        except AddressTaken:
            form.add_error("name", "A service account with this name already exists.")
        else:
            messages.success(request, f"Service account {account.name} created. Create a token for it.")
            return redirect("accounts:user", account.pk)
    return _users_page(request, {"form": NewUserForm(), "service_form": form})


def _users_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    invalid = context["form"].errors or context["service_form"].errors
    context |= {
        "people": User.objects.prefetch_related(GIVEN_LINKS).order_by("is_service", "email"),
        "with_second_factor": users_with_second_factor(),
    }
    return render(request, "accounts/users.html", context, status=UNPROCESSABLE if invalid else 200)


def user(request: HttpRequest, user_id: int) -> HttpResponse:
    """Show one user with their sessions and tokens; POST changes address, name, role and state."""
    person = _person(user_id)
    form = UserForm(person, request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            change_user(
                signed_in_user(request),
                person.pk,
                role=Role(data["role"]),
                is_active=data["is_active"],
                email=data.get("email"),
                name=data["name"],
            )
        except LastOwnerError:
            form.add_error(None, "At least one Owner must be able to sign in. Make another user Owner first.")
        except AddressTaken:
            form.add_error("email", TAKEN)
        else:
            changed = _person(user_id)
            is_sent = changed.email != person.email and changed.is_active and send_verification(changed)
            messages.success(request, f"{changed.email} changed.{' A link to verify it was sent.' if is_sent else ''}")
            return redirect("accounts:user", person.pk)
    return _user_page(request, person, {"form": form})


def user_link(request: HttpRequest, user_id: int) -> HttpResponse:
    """Create a user's one-time link and send it, or show it in this response only."""
    person = _person(user_id)
    try:
        url = links.create_link(signed_in_user(request), person)
    except LinkRefused as error:
        messages.error(request, str(error))
        return redirect("accounts:user", person.pk)
    return _user_page(request, _person(user_id), _delivered(person, url, show="show_link" in request.POST))


def user_link_revoke(request: HttpRequest, user_id: int) -> HttpResponse:
    """End a user's one-time link."""
    person = _person(user_id)
    if not links.revoke_link(signed_in_user(request), person):
        raise Http404
    messages.success(request, "The link no longer works.")
    return redirect("accounts:user", person.pk)


def user_end(request: HttpRequest, user_id: int) -> HttpResponse:
    """End all sessions of a user, and with `tokens` revoke all their API tokens."""
    person, actor = _person(user_id), signed_in_user(request)
    keep = current_session(request) if person == actor else None
    count = sessions.end_sessions(actor, person, keep=keep)
    revoked = tokens.revoke_tokens_of(actor, person) if "tokens" in request.POST else 0
    messages.success(request, f"Ended: {count} sessions, {revoked} API tokens.")
    return redirect("accounts:user", person.pk)


def user_token_add(request: HttpRequest, user_id: int) -> HttpResponse:
    """Create a token of a service account, which is shown in this response only."""
    person = _person(user_id)
    if not person.is_service:
        raise Http404
    form, created = ApiTokenForm(Role(person.role), request.POST, auto_id=TOKEN_IDS), ""
    if form.is_valid():
        try:
            created = tokens.create_token(
                signed_in_user(request),
                form.cleaned_data["name"],
                form.expires_at(),
                scopes=form.cleaned_data["scopes"],
                requests_per_minute=form.cleaned_data["requests_per_minute"],
                user=person,
            )
            form = ApiTokenForm(Role(person.role), auto_id=TOKEN_IDS)
        except TokenRefused as error:
            form.add_error(None, str(error))
    return _user_page(request, person, {"token_form": form, "created": created})


def _person(user_id: int) -> User:
    return get_object_or_404(User.objects.prefetch_related(GIVEN_LINKS), pk=user_id)


def _delivered(person: User, url: str, *, show: bool) -> dict[str, Any]:
    """Send the link unless it shall be shown. Returns what the page says: the link is shown where it was not sent."""
    is_sent = not show and links.send_link(person, url)
    return {"invited": person, "link_url": "" if is_sent else url, "not_sent": not show and not is_sent}


def _user_page(request: HttpRequest, person: User, context: dict[str, Any]) -> HttpResponse:
    page: dict[str, Any] = {
        "person": person,
        "form": UserForm(person),
        "token_form": ApiTokenForm(Role(person.role), auto_id=TOKEN_IDS) if person.is_service else None,
        "sessions": sessions_of(person, current_session(request)),
        "tokens": active_tokens(person),
        "known_tokens": tokens_known_to(person),
        "can_mail": bool(settings.EMAIL_HOST),
    } | context
    invalid = page["form"].errors or (page["token_form"] and page["token_form"].errors)
    return render(request, "accounts/user.html", page, status=UNPROCESSABLE if invalid else 200)
