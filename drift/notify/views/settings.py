"""The page on which an Admin chooses who is notified: mail, webhooks, and the latest deliveries."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from drift.notify.actions import deliveries
from drift.notify.actions import settings as actions
from drift.notify.errors import AddressRejected, NameTaken
from drift.notify.forms.settings import MailForm, WebhookForm
from drift.notify.queries import settings as queries
from drift.web.requests import signed_in_user
from drift.web.responses import UNPROCESSABLE


def configure(request: HttpRequest) -> HttpResponse:
    """Show the settings; POST changes who gets email."""
    form = MailForm(request.POST or None, initial=queries.mail_settings())
    if request.method == "POST" and form.is_valid():
        actions.change_mail_settings(signed_in_user(request), form.cleaned_data)
        messages.success(request, "Mail notifications saved.")
        return redirect("notify:configure")
    return _settings_page(request, form, WebhookForm())


def webhook_add(request: HttpRequest) -> HttpResponse:
    """Add a webhook: its secret is shown in this response only."""
    form = WebhookForm(request.POST)
    secret = ""
    if form.is_valid():
        try:
            _, secret = actions.add_webhook(signed_in_user(request), **form.cleaned_data)
            form = WebhookForm()
        except NameTaken as error:
            form.add_error("name", str(error))
        except AddressRejected as error:
            form.add_error("url", str(error))
    return _settings_page(request, MailForm(initial=queries.mail_settings()), form, secret=secret)


def _settings_page(
    request: HttpRequest, form: MailForm, webhook_form: WebhookForm, *, secret: str = ""
) -> HttpResponse:
    context = {
        "form": form,
        "webhook_form": webhook_form,
        "secret": secret,
        "webhooks": queries.webhooks(),
        "deliveries": queries.latest_deliveries(),
        "mail_host": settings.EMAIL_HOST,
    }
    status = UNPROCESSABLE if form.errors or webhook_form.errors else 200
    return render(request, "notify/settings.html", context, status=status)


def webhook_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a webhook."""
    if not actions.remove_webhook(signed_in_user(request), pk):
        raise Http404
    messages.success(request, "Webhook removed.")
    return redirect("notify:configure")


def send_test(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Send a test to a webhook, or by email to the user; its state shows among the deliveries."""
    if pk is None and not settings.EMAIL_HOST:
        messages.error(request, "No mail server is configured: set EMAIL_HOST.")
    elif deliveries.send_test(signed_in_user(request), pk) is None:
        raise Http404
    else:
        messages.success(request, "Test queued. Its state shows below in a moment.")
    return redirect("notify:configure")


def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Retry a delivery that has failed."""
    if not deliveries.retry(signed_in_user(request), pk):
        raise Http404
    messages.success(request, "Retry queued.")
    return redirect("notify:configure")
