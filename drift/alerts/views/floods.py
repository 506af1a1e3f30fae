"""End a flood early, so that new files get alerts of their own again."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from drift.alerts.actions.alert_budgets import release_flood
from drift.alerts.models import Alert
from drift.web.requests import signed_in_user


def release(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the container or sensor of a flood alert open alerts again."""
    user = signed_in_user(request)
    alert = get_object_or_404(Alert.objects.visible_to(user), pk=pk)
    if not alert.is_flood:
        raise Http404
    if release_flood(user, alert):
        messages.success(request, "New files get alerts of their own again.")
    else:
        messages.info(request, "The flood had already ended; nothing was changed.")
    return redirect("alerts:detail", pk=alert.pk)
