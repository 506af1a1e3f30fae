"""A user's own notices and email preferences."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from drift.notify.actions.notices import mark_read
from drift.notify.actions.settings import change_preferences
from drift.notify.forms.settings import PreferenceForm
from drift.notify.queries import inbox as queries
from drift.web.requests import bounded_int, signed_in_user


def inbox(request: HttpRequest) -> HttpResponse:
    """Show the user's notices, newest first, and their email preferences; POST changes the preferences."""
    user = signed_in_user(request)
    form = PreferenceForm(request.POST or None, initial=queries.mail_preferences(user))
    if request.method == "POST" and form.is_valid():
        change_preferences(user, **form.cleaned_data)
        messages.success(request, "Preferences saved.")
        return redirect("notify:inbox")
    notices, older = queries.notice_page(user, bounded_int(request.GET.get("before", "")))
    context = {"form": form, "notices": notices, "older": older, "mail": bool(settings.EMAIL_HOST)}
    return render(request, "notify/inbox.html", context)


def bell(request: HttpRequest) -> HttpResponse:
    """Show the number of unread notices, for the bell in the top bar."""
    return render(request, "notify/bell.html", {"unread": queries.unread_count(signed_in_user(request))})


def read(request: HttpRequest) -> HttpResponse:
    """Mark all of the user's notices as read."""
    mark_read(signed_in_user(request))
    return redirect("notify:inbox")
