"""Reset a forgotten password by mail. Nothing here reveals whether an account exists."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import rate_limits
from accounts.actions.password_reset import request_password_reset
from accounts.addresses import limited_address
from accounts.client_address import client_network
from accounts.forms.password_reset import ForgottenForm
from accounts.views.requests import UNPROCESSABLE

WINDOW_SECONDS: Final = 60 * 60
MAX_MAILS_CLIENT: Final = 20
MAX_MAILS_ACCOUNT: Final = 3
"""Mails in an hour: a stranger must not fill a mailbox. Beyond that the answer is the same, and none is sent."""


def forgotten(request: HttpRequest) -> HttpResponse:
    """Mail a link to whoever asks, if there is such a user; without a mail server say whom to ask."""
    can_mail = bool(settings.EMAIL_HOST)
    form = ForgottenForm(request.POST or None)
    if request.method == "POST" and can_mail and form.is_valid():
        email = form.cleaned_data["email"]
        if _is_within_limits(request, email):
            request_password_reset(email)
        return render(request, "accounts/password_reset/sent.html")
    status = UNPROCESSABLE if form.errors else 200
    return render(
        request, "accounts/password_reset/forgotten.html", {"form": form, "can_mail": can_mail}, status=status
    )


def _is_within_limits(request: HttpRequest, email: str) -> bool:
    by_client = rate_limits.count(f"reset-from:{client_network(request)}", WINDOW_SECONDS)
    by_account = rate_limits.count(f"reset-of:{limited_address(email)}", WINDOW_SECONDS)
    return by_client <= MAX_MAILS_CLIENT and by_account <= MAX_MAILS_ACCOUNT
