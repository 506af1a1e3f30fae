"""Reset a forgotten password by mail. Nothing here reveals whether an account exists."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy

from accounts import rate_limits
from accounts.actions.password_reset import request_password_reset
from accounts.actions.users import change_password
from accounts.client_address import client_address
from accounts.forms.password_reset import ForgottenForm, NewPasswordForm
from accounts.models import User
from accounts.queries.local_sign_in import may_sign_in_locally
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
    by_client = rate_limits.count(f"reset-from:{client_address(request)}", WINDOW_SECONDS)
    by_account = rate_limits.count(f"reset-of:{email.casefold()}", WINDOW_SECONDS)
    return by_client <= MAX_MAILS_CLIENT and by_account <= MAX_MAILS_ACCOUNT


class PasswordReset(PasswordResetConfirmView):
    """Choose a new password with the link of the mail. The link works once, for an hour."""

    template_name = "accounts/password_reset/new.html"
    form_class = NewPasswordForm
    success_url = reverse_lazy("account_login")

    def get_user(self, uidb64: str) -> User | None:
        user: Any = super().get_user(uidb64)
        return user if user and user.is_active and may_sign_in_locally(user) else None

    def form_valid(self, form: Any) -> HttpResponse:
        # Not the form's own save, which knows neither the audit log nor other sessions.
        change_password(form.user, form.cleaned_data["new_password1"], session=None)
        self.request.session.flush()
        messages.success(self.request, "Password changed. Sign in with the new one.")
        return redirect("account_login")

    def form_invalid(self, form: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=UNPROCESSABLE)
