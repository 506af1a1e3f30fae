"""Sign-in, sign-out, and a user's own password."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.actions.users import change_password
from accounts.forms.sign_in import PasswordForm, SignInForm
from accounts.views.requests import UNPROCESSABLE, signed_in_user


class SignIn(LoginView):
    """The sign-in page."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


class SignOut(LogoutView):
    """POST only: a link or image on another site must not sign a user out."""


def password(request: HttpRequest) -> HttpResponse:
    """Change the user's own password; required after sign-in with a one-time password."""
    user = signed_in_user(request)
    form = PasswordForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        change_password(user, form.cleaned_data["new_password"], revoke_tokens=form.cleaned_data["revoke_tokens"])
        update_session_auth_hash(request, user)
        messages.success(request, "Password changed.")
        return redirect("home")
    status = UNPROCESSABLE if form.errors else 200
    return render(request, "accounts/password.html", {"form": form}, status=status)
