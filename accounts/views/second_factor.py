"""A user's second factors: authenticator app, passkeys and recovery codes. The steps are django-allauth's."""

from __future__ import annotations

import json
from typing import Any, cast

from allauth.mfa.base.views import AuthenticateView, IndexView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.internal.flows import add_authenticator
from allauth.mfa.webauthn.views import AddWebAuthnView, EditWebAuthnView, LoginWebAuthnView, RemoveWebAuthnView
from django import forms
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator

from accounts.actions.second_factor import (
    accept_code,
    allow_without_password,
    lock_recovery_codes,
    rename_passkey,
    reset_second_factor,
)
from accounts.actions.sessions import check_session_lives, lock_user
from accounts.actions.sign_in_limits import Attempt, seconds_to_begin
from accounts.errors import SIGN_IN_FAILED
from accounts.forms.sign_in import too_many
from accounts.forms.styled import style_inputs
from accounts.models import User
from accounts.passkeys import passkeys_work
from accounts.plain_text import one_line
from accounts.queries.local_sign_in import is_break_glass, linked_account
from accounts.queries.second_factor import lacks_required_second_factor
from accounts.reauthentication import sign_in_methods
from accounts.views.requests import TOO_MANY, UNPROCESSABLE, signed_in_user


class _UnprocessableMixin:
    """A rejected form has the status 422, as everywhere in the portal."""

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        if response.status_code == 200:
            response.status_code = UNPROCESSABLE
        return response


class _AtomicMixin:
    """A change and its audit entry are one transaction; the changes of one user follow one another.

    None is made in a session that has ended: what ends it may have removed the factors of whoever stole it.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = super().dispatch  # type: ignore[misc]
        if request.method != "POST":
            return cast("HttpResponse", answer(request, *args, **kwargs))
        with transaction.atomic():
            # Here, before django-allauth looks at what there is: of two requests at once the second would fail.
            lock_user(signed_in_user(request))
            check_session_lives()
            return cast("HttpResponse", answer(request, *args, **kwargs))


class SecondStep(_UnprocessableMixin, AuthenticateView):  # type: ignore[misc]
    """The second step of a sign-in."""

    template_name = "accounts/second_factor/step.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        types = set(Authenticator.objects.filter(user=self.stage.login.user).values_list("type", flat=True))
        options = context.get("js_data", {}).get("request_options")
        passkey = json.dumps(options) if Authenticator.Type.WEBAUTHN in types and passkeys_work() else ""
        return context | {"passkey_options": passkey, "has_app": Authenticator.Type.TOTP in types}


class PasskeySignIn(LoginWebAuthnView):  # type: ignore[misc]
    """GET as JSON: the challenge. POST: the passkey's response, which signs in without a password."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the challenge, which the session keeps; 429 to an address that asks for too many."""
        if wait := seconds_to_begin(request):
            return self._too_many(wait)
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if wait := seconds_to_begin(request):  # the page's message may be stored in a session too
            return self._too_many(wait)
        attempt = Attempt.by_passkey(request)
        if wait := attempt.seconds_to_wait():
            return self._refused(too_many(wait))
        form = self.get_form()
        if not form.is_valid():
            return self._refused(SIGN_IN_FAILED)
        attempt.succeeded()
        response: HttpResponse = self.form_valid(form)
        return response

    @staticmethod
    def _too_many(wait: int) -> HttpResponse:
        body = {"code": "too_many_requests", "message": f"Too many sign-ins. Try again in {wait} seconds."}
        return JsonResponse(body, status=TOO_MANY, headers={"Retry-After": str(wait)})

    def _refused(self, reason: str) -> HttpResponse:
        messages.error(self.request, reason)
        query = {"next": self.request.POST["next"]} if self.request.POST.get("next") else None
        return redirect(reverse("account_login", query=query))


class Overview(IndexView):  # type: ignore[misc]
    """What a user can sign in with besides the password."""

    template_name = "accounts/second_factor/overview.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().get_context_data(**kwargs)["authenticators"]
        user = signed_in_user(self.request)
        return {
            "issuer": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
            "is_linked": linked_account(user) is not None,
            "may_link": not is_break_glass(user),
            "app": found.get(Authenticator.Type.TOTP),
            "passkeys": found.get(Authenticator.Type.WEBAUTHN, []),
            "recovery_codes": found.get(Authenticator.Type.RECOVERY_CODES),
            "codes_left": _codes_left(found.get(Authenticator.Type.RECOVERY_CODES)),
            "is_required": lacks_required_second_factor(user, sign_in_methods(self.request)),
            "passkeys_work": passkeys_work(),
        }


def _codes_left(codes: Any) -> int:
    """Counted without decrypting: SECRET_KEY may have changed since."""
    if codes is None:
        return 0
    return int(settings.MFA_RECOVERY_CODE_COUNT) - int(codes.instance.data["used_mask"]).bit_count()


class AddApp(_AtomicMixin, _UnprocessableMixin, ActivateTOTPView):  # type: ignore[misc]
    """Set up an authenticator app."""

    template_name = "accounts/second_factor/add_app.html"

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        # Codes work once: whoever saw this one typed must not sign in with it.
        accept_code(signed_in_user(self.request), form.cleaned_data["code"])
        return response


class RemoveApp(_AtomicMixin, DeactivateTOTPView):  # type: ignore[misc]
    """Remove the authenticator app."""

    template_name = "accounts/second_factor/remove_app.html"


class _PasskeyNameMixin:
    """The name of a passkey as its user knows it."""

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)  # type: ignore[misc]
        # Not `form["name"].initial`: a form that has made that goes on with the field before.
        initial = form.get_initial_for_field(form.fields["name"], "name")
        form.fields["name"] = forms.CharField(max_length=64, initial=initial, validators=[one_line])
        style_inputs(form)
        return form


class AddPasskey(_AtomicMixin, _PasskeyNameMixin, _UnprocessableMixin, AddWebAuthnView):  # type: ignore[misc]
    """Add a passkey."""

    template_name = "accounts/second_factor/add_passkey.html"

    def form_valid(self, form: Any) -> HttpResponse:
        passkey, codes = add_authenticator(self.request, form.cleaned_data["name"], form.cleaned_data["credential"])
        if form.cleaned_data["passwordless"]:
            allow_without_password(passkey)
        return redirect("mfa_view_recovery_codes" if codes else "mfa_index")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        options = json.dumps(context["js_data"]["creation_options"])
        return context | {"form": kwargs.get("form") or self.get_form(), "options": options}


class RenamePasskey(_PasskeyNameMixin, _UnprocessableMixin, EditWebAuthnView):  # type: ignore[misc]
    """Rename a passkey."""

    template_name = "accounts/second_factor/rename_passkey.html"

    def form_valid(self, form: Any) -> HttpResponse:
        # Not by django-allauth, which stores the whole row as it was read: a passkey that was removed would be back.
        if not rename_passkey(signed_in_user(self.request), self.object.pk, form.cleaned_data["name"]):
            raise Http404
        return redirect("mfa_index")


class RemovePasskey(_AtomicMixin, RemoveWebAuthnView):  # type: ignore[misc]
    """Remove a passkey."""

    template_name = "accounts/second_factor/remove_passkey.html"
    success_url = reverse_lazy("mfa_index")


class RecoveryCodes(ViewRecoveryCodesView):  # type: ignore[misc]
    """Show new recovery codes, once."""

    template_name = "accounts/second_factor/recovery_codes.html"

    @method_decorator(transaction.atomic)
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Wait for a code that is being used, and for who else opens the page: what follows stores all it has read."""
        lock_recovery_codes(signed_in_user(request))
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response


class NewRecoveryCodes(_AtomicMixin, GenerateRecoveryCodesView):  # type: ignore[misc]
    """Replace the recovery codes."""

    template_name = "accounts/second_factor/new_recovery_codes.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # Not its own, which decrypts the codes to count them: SECRET_KEY may have changed since.
        return {"form": kwargs.get("form") or self.get_form()}


def reset(request: HttpRequest, user_id: int) -> HttpResponse:
    """Remove another user's second factors; an Owner who lost their own needs another Owner."""
    user = get_object_or_404(User, pk=user_id)
    if user == signed_in_user(request):
        messages.error(request, "You cannot reset your own second factor here. Ask another Owner.")
    elif reset_second_factor(signed_in_user(request), user):
        messages.success(request, f"Second factor of {user.email} was reset.")
    else:
        messages.info(request, f"{user.email} has no second factor.")
    return redirect("accounts:users")
