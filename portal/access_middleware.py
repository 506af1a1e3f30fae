"""Check the permission table (`portal.access`) before any view runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect

from accounts.models import ApiToken, User
from accounts.queries.second_factor import lacks_required_second_factor
from accounts.reauthentication import recently_authenticated, sign_in_methods
from accounts.roles import Role
from accounts.views.confirm import confirmation
from portal.access import TABLE, Access, Open, Who
from portal.allowed_methods import allow_header
from portal.api_parameters import parameter_rejection
from portal.body_limits import PREFLIGHT, declared_length, too_large, view_limit

PASSWORD_VIEWS: Final = frozenset({"accounts:password", "accounts:sign-out", "healthz", "readyz"})
"""The only views open to a user who signed in with a one-time password."""


SECOND_FACTOR_VIEWS: Final = PASSWORD_VIEWS | {
    "accounts:confirm",
    "accounts:confirm-passkey",
    "accounts:issuer-confirm",
    "mfa_index",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_view_recovery_codes",
}
"""The only views open to a session of a user whose role requires a second factor that is not set up yet."""


def _is_by_token(request: HttpRequest) -> bool:
    return bool(getattr(request, "by_token", False))


def _must_set_up_second_factor(request: HttpRequest) -> bool:
    if not isinstance(request.user, User) or _is_by_token(request):
        return False
    return lacks_required_second_factor(request.user, sign_in_methods(request))


def _must_change_password(user: Any) -> bool:
    return isinstance(user, User) and user.must_change_password


def _sees_whole_estate(user: Any) -> bool:
    return isinstance(user, User) and user.sees_whole_estate


def allows(who: Who | None, user: Any) -> bool:
    """Return whether `user` (a User or AnonymousUser) is allowed on a view that requires `who`."""
    if who is None:
        return False
    if isinstance(who, Open):
        return True
    return isinstance(user, User) and user.has_role(who)


class AccessMiddleware:
    """Check the table before any view runs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match = request.resolver_match
        if match and match.view_name in TABLE and (response.status_code == 405 or request.method == "OPTIONS"):
            # A view lists its own methods, of which the table may allow fewer.
            response["Allow"] = allow_header(TABLE[match.view_name], match.func)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """Return None to run the view, or the response to send instead."""
        name = request.resolver_match.view_name if request.resolver_match else ""
        access = TABLE.get(name)
        if access is None:
            raise Http404
        method = request.method or "GET"
        who = access.required(method)
        # Before the role, which a token's scopes limit as well: the client should learn what is really missing.
        if isinstance(who, Role) and (rejection := _token_rejection(request, access, method)):
            return rejection
        if not allows(who, request.user):
            return _rejection(request, who)
        if access.whole_estate and not _sees_whole_estate(request.user):
            return _forbidden(request, "This requires access to the whole estate, and yours is limited to a scope.")
        if isinstance(who, Role) and (rejection := _unfinished_rejection(request, name)):
            return rejection
        # Sensors of a newer release may send parameters that this one does not know, as they may send keys.
        if isinstance(who, Role) and (rejection := parameter_rejection(request, view)):
            return rejection
        # Before what follows reads a form: neither that nor Django's CSRF check may parse a body that is too large.
        response = _about_body(request, name, who, lambda: view(request, *args, **kwargs))
        if response is None and access.needs_recent(request, kwargs) and not recently_authenticated(request):
            response = confirmation(request)
        return response


def _about_body(
    request: HttpRequest, name: str, who: Who | None, respond: Callable[[], HttpResponseBase]
) -> HttpResponseBase | None:
    """Return 413 for a body that is too large; to a preflight, 2xx where this caller may send one; else None."""
    if declared_length(request) > view_limit(name):
        return too_large(request, view_limit(name))
    if not request.META.get(PREFLIGHT):
        return None
    if who is Open.SENSOR:
        # The table leaves sensors to their views, which authenticate before they answer any method.
        request.method = "OPTIONS"
        return respond()
    return HttpResponse(status=204)


def _rejection(request: HttpRequest, who: Who | None) -> HttpResponseBase:
    if who is None:
        return JsonResponse({"code": "method_not_allowed", "message": "This method is not allowed."}, status=405)
    if request.user.is_authenticated:
        return _forbidden(request, f"This requires the role {who.label}{_cap(request.user, who)}.")
    if request.path.startswith("/api/"):
        body = {"code": "not_authenticated", "message": "Send a valid token in the header Authorization: Bearer …"}
        return JsonResponse(body, status=401, headers={"WWW-Authenticate": 'Bearer realm="api"'})
    return _redirect_to_sign_in(request)


def _cap(user: Any, who: Who) -> str:
    """Return what else to say to a user whose role would do, without its scope."""
    has_role = isinstance(user, User) and isinstance(who, Role) and Role(user.role).includes(who)
    return ", and with a scope nobody has more than Security Operator" if has_role and user.is_limited else ""


def _forbidden(request: HttpRequest, message: str) -> HttpResponseBase:
    if request.path.startswith("/api/"):
        return JsonResponse({"code": "forbidden", "message": message}, status=403)
    raise PermissionDenied(message)


def _token_rejection(request: HttpRequest, access: Access, method: str) -> HttpResponseBase | None:
    """Return the response to a valid API token that has not the scope of this call; None if it has, or without one.

    A session gets one too where only programs may call.
    """
    token: ApiToken | None = getattr(request, "api_token", None)
    scope = access.token_scope(method)
    if token is None:
        is_refused = access.programs_only and request.user.is_authenticated
    else:
        is_refused = scope is None or not token.has_scope(scope)
    if not is_refused:
        return None
    message = f"This requires a token with the scope {scope}." if scope else "API tokens cannot call this."
    return _forbidden(request, message)


def _unfinished_rejection(request: HttpRequest, name: str) -> HttpResponseBase | None:
    """Return the response to a user who must change a one-time password, or set up a second factor, before all else."""
    if _must_change_password(request.user) and name not in PASSWORD_VIEWS:
        url, message = "accounts:password", "The user must change their one-time password first."
    elif name not in SECOND_FACTOR_VIEWS and _must_set_up_second_factor(request):
        url, message = "mfa_index", "The user must set up a second factor first."
    else:
        return None
    if request.path.startswith("/api/"):
        return _forbidden(request, message)
    return _refresh() if _is_fragment(request) else redirect(url)


def _redirect_to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Redirect to the sign-in page."""
    if _is_fragment(request):
        # session.js keeps what was typed, or goes to the sign-in.
        return HttpResponse(status=204, headers={"HX-Trigger": "session:ended"})
    if request.headers.get("Sec-Fetch-Dest") == "empty":
        # A script's fetch() would follow the redirect and read the sign-in page as its data.
        return JsonResponse({"code": "not_authenticated", "message": "The session has ended."}, status=401)
    return redirect_to_login(request.get_full_path())


def _is_fragment(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _refresh() -> HttpResponse:
    """Make the browser load the page again: htmx would follow a redirect and swap the page into the one it shows."""
    return HttpResponse(status=204, headers={"HX-Refresh": "true"})
