"""A user's own sessions, and the state of the present one for the page's script."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render

from accounts.actions.session_store import SessionStore
from accounts.actions.sessions import end_session, end_sessions
from accounts.models import User
from accounts.queries.sessions import sessions_of
from accounts.views.requests import current_session, signed_in_user


def session(request: HttpRequest) -> JsonResponse:
    """Return who is signed in and for how long; POST counts as activity. A page updates its CSRF token from it."""
    if not isinstance(request.user, User) or not request.user.is_active:
        return JsonResponse({"user": None})
    store = request.session
    if request.method == "POST" and isinstance(store, SessionStore):
        store.record_activity()
    idle, end = store.seconds_left() if isinstance(store, SessionStore) else (0, 0)
    body = {"user": request.user.pk, "idle": idle, "end": end, "csrf_token": get_token(request)}
    return JsonResponse(body, headers={"Cache-Control": "no-store"})


def sessions(request: HttpRequest) -> HttpResponse:
    """List the user's sessions."""
    user = signed_in_user(request)
    return render(request, "accounts/sessions.html", {"sessions": sessions_of(user, current_session(request))})


def session_end(request: HttpRequest, session_id: int) -> HttpResponse:
    """End one of the user's sessions; Owners end anybody's."""
    user = signed_in_user(request)
    ended = end_session(user, session_id)
    if ended is None:
        raise Http404
    messages.success(request, "Session ended.")
    return redirect("accounts:sessions") if ended == user else redirect("accounts:user", ended.pk)


def sessions_end(request: HttpRequest) -> HttpResponse:
    """End the user's other sessions."""
    user = signed_in_user(request)
    count = end_sessions(user, user, keep=current_session(request))
    messages.success(request, f"{count} other session{'' if count == 1 else 's'} ended.")
    return redirect("accounts:sessions")
