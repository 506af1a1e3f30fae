"""Sign-in, sign-out, and a user's own password."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render

from accounts.actions.users import change_password
from accounts.forms.sign_in import PasswordForm, SignInForm
from accounts.passkeys import passkeys_work
from accounts.views.requests import TOO_MANY, UNPROCESSABLE, current_session, signed_in_user


class SignIn(LoginView):
    """The sign-in page. A right password leads to the second factor of a user who has one, else to a session."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponseRedirect:
        login = Login(user=form.get_user(), redirect_url=self.get_success_url())
        return cast("HttpResponseRedirect", perform_password_login(self.request, {}, login))

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Show the page again: 429 with the seconds to wait after too many failures."""
        response = super().form_invalid(form)
        if wait := getattr(form, "seconds_to_wait", 0):
            response.status_code, response["Retry-After"] = TOO_MANY, str(wait)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {
            "passkeys_work": passkeys_work(),
            "issuer": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
            "local_sign_in": settings.LOCAL_SIGN_IN,
        }


class SignOut(LogoutView):
    """POST only: a link or image on another site must not sign a user out."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """End the session, and let the browser forget the pages that it keeps for its Back button."""
        response = super().post(request, *args, **kwargs)
        response["Clear-Site-Data"] = '"cache"'
        return response


def password(request: HttpRequest) -> HttpResponse:
    """Change the user's own password; required after sign-in with a one-time password."""
    user = signed_in_user(request)
    form = PasswordForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        change_password(
            user, data["new_password"], session=current_session(request), revoke_tokens=data["revoke_tokens"]
        )
        update_session_auth_hash(request, user)
        messages.success(request, "Password changed.")
        return redirect("home")
    status = TOO_MANY if form.has_error("old_password", "limited") else UNPROCESSABLE if form.errors else 200
    context = {"form": form, "can_mail": bool(settings.EMAIL_HOST)}
    return render(request, "accounts/password.html", context, status=status)
