"""Users prove that their address is theirs."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts import rate_limits
from accounts.actions.email_verification import is_verification_of, send_verification, verify_email
from accounts.models import User
from accounts.views.requests import signed_in_user

WINDOW_SECONDS: Final = 60 * 60
MAX_MAILS: Final = 3
GONE: Final = 410


def email_send(request: HttpRequest) -> HttpResponse:
    """Mail the user a link that verifies their address."""
    _send(request, signed_in_user(request))
    return redirect("accounts:password")


def user_email_send(request: HttpRequest, user_id: int) -> HttpResponse:
    """Mail another user the link; they must sign in to use it."""
    person = get_object_or_404(User, pk=user_id, is_service=False, is_active=True)
    _send(request, person)
    return redirect("accounts:user", person.pk)


def email_verify(request: HttpRequest, token: str) -> HttpResponse:
    """Ask whether the address is the signed-in user's; POST verifies it. Opening does not: mail scanners do that."""
    user = signed_in_user(request)
    if request.method == "POST" and verify_email(user, token):
        messages.success(request, f"{user.email} is verified.")
        return redirect("accounts:password")
    is_valid = is_verification_of(user, token)
    return render(request, "accounts/email_verify.html", {"is_valid": is_valid}, status=200 if is_valid else GONE)


def _send(request: HttpRequest, person: User) -> None:
    if rate_limits.count(f"verify:{person.pk}", WINDOW_SECONDS) > MAX_MAILS:
        messages.error(request, "Three mails were sent within the hour. Try again later.")
    elif send_verification(person):
        messages.success(request, f"A link was sent to {person.email}.")
    else:
        messages.error(request, "The mail could not be sent.")
