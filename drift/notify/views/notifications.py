"""One's own notices, and the page on which an Admin says who is told of what."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.models import User
from drift.notify.actions import notices as actions
from drift.notify.actions import post_webhook as posting
from drift.notify.forms.configure import MailForm, PreferenceForm, WebhookForm
from drift.notify.models import Delivery, MailSettings, Notice, Preference, Webhook

PAGE = 50
UNPROCESSABLE = 422


def _user(request: HttpRequest) -> User:
    """The signed-in user: the access table lets nobody else through."""
    return cast("User", request.user)


def inbox(request: HttpRequest) -> HttpResponse:
    """What one was told, newest first by keyset, and what one wants by mail."""
    user = _user(request)
    form = PreferenceForm(request.POST or None, initial=_preference(user))
    if request.method == "POST" and form.is_valid():
        actions.prefer(user, **form.cleaned_data)
        messages.success(request, "Your choice was saved.")
        return redirect("notify:inbox")
    notices = Notice.objects.filter(user=user).order_by("-pk")
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        notices = notices.filter(pk__lt=int(before))
    page = list(notices[: PAGE + 1])
    older = page[PAGE - 1].pk if len(page) > PAGE else None
    context = {"form": form, "notices": page[:PAGE], "older": older, "mail": bool(settings.EMAIL_HOST)}
    return render(request, "notify/inbox.html", context)


def _preference(user: User) -> dict[str, bool]:
    row = Preference.objects.filter(user=user).first() or Preference(user=user)
    return {"mail_mentions": row.mail_mentions, "mail_assignments": row.mail_assignments}


def bell(request: HttpRequest) -> HttpResponse:
    """How many notices are unread, for the bell in the top bar."""
    unread = Notice.objects.filter(user=_user(request), read_at=None)[:100].count()
    return render(request, "notify/bell.html", {"unread": unread})


def read(request: HttpRequest) -> HttpResponse:
    """All of one's notices are read."""
    actions.mark_read(_user(request))
    return redirect("notify:inbox")


def configure(request: HttpRequest) -> HttpResponse:
    """Who gets mail, which webhooks there are, and what became of the latest deliveries."""
    form = MailForm(request.POST or None, initial=_mail_values())
    if request.method == "POST" and form.is_valid():
        actions.change_mail(_user(request), form.cleaned_data)
        messages.success(request, "The mail notifications were changed.")
        return redirect("notify:configure")
    return _configure_page(request, form, WebhookForm(), status=UNPROCESSABLE if form.errors else 200)


def _mail_values() -> dict[str, object]:
    row = MailSettings.objects.get()
    values = {name: getattr(row, name) for name in ("roles", "alerts", "health", "interval_minutes")}
    return values | {"addresses": "\n".join(row.addresses)}


def _configure_page(
    request: HttpRequest, form: MailForm, webhook_form: WebhookForm, *, secret: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "webhook_form": webhook_form,
        "secret": secret,
        "webhooks": Webhook.objects.order_by("name"),
        "deliveries": Delivery.objects.select_related("notice", "webhook").order_by("-pk")[:PAGE],
        "mail_host": settings.EMAIL_HOST,
    }
    return render(request, "notify/configure.html", context, status=status)


def webhook_add(request: HttpRequest) -> HttpResponse:
    """Add a webhook: its secret is shown on the answer only."""
    form = WebhookForm(request.POST)
    secret = ""
    if form.is_valid():
        try:
            _, secret = actions.add_webhook(_user(request), **form.cleaned_data)
            form = WebhookForm()
        except actions.NameTaken as error:
            form.add_error("name", str(error))
        except posting.Refused as error:
            form.add_error("url", str(error))
    mail = MailForm(initial=_mail_values())
    return _configure_page(request, mail, form, secret=secret, status=UNPROCESSABLE if form.errors else 200)


def webhook_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a webhook."""
    if not actions.remove_webhook(_user(request), pk):
        raise Http404
    messages.success(request, "The webhook was removed.")
    return redirect("notify:configure")


def send_test(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Send a test to a webhook, or by mail to whoever asks; its state shows among the deliveries."""
    if pk is None and not settings.EMAIL_HOST:
        messages.error(request, "No mail server is set: EMAIL_HOST.")
    elif actions.send_test(_user(request), pk) is None:
        raise Http404
    else:
        messages.success(request, "A test is on its way: look at its state below in a moment.")
    return redirect("notify:configure")


def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Try again what was given up."""
    if not actions.retry(_user(request), pk):
        raise Http404
    messages.success(request, "It is tried again.")
    return redirect("notify:configure")
