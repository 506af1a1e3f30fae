"""One-time links: an invited user, or one who forgot their password, chooses one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.actions.links import use_link
from accounts.errors import LinkRefused
from accounts.forms.users import ChoosePasswordForm
from accounts.queries.links import link_of_token, usable_link
from accounts.views.requests import UNPROCESSABLE

KEY = "one_time_link"
GONE = 410


def link(request: HttpRequest, token: str) -> HttpResponse:
    """Remember the link in a new session and go on without the token in the URL, where logs and pages would keep it.

    Opening a link does not use it: mail scanners open links too.
    """
    found = link_of_token(token)
    if found is None:
        return render(request, "accounts/link_ended.html", status=GONE)
    request.session.flush()
    request.session[KEY] = found.pk
    return redirect("accounts:link-password")


def link_password(request: HttpRequest) -> HttpResponse:
    """Let the user of the link choose a password, then sign in with it."""
    found = usable_link(request.session.get(KEY))
    if found is None:
        return render(request, "accounts/link_ended.html", status=GONE)
    form = ChoosePasswordForm(found.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            data = form.cleaned_data
            use_link(found.pk, data["new_password"], revoke_tokens=data.get("revoke_tokens", False))
        except LinkRefused:
            return render(request, "accounts/link_ended.html", status=GONE)
        request.session.flush()
        messages.success(request, "Password set. Sign in with it.")
        return redirect("account_login")
    status = UNPROCESSABLE if form.errors else 200
    return render(request, "accounts/link_password.html", {"form": form, "person": found.user}, status=status)
