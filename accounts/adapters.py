"""What django-allauth does here otherwise than by default: encryption, our rate limits' address, and fewer steps."""

from __future__ import annotations

import hmac
from typing import Any, Final, cast
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import clear_login
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.stages import AuthenticateStage
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import encryption, issuer
from accounts.actions.sign_in_limits import remember_device
from accounts.client_address import client_address
from accounts.errors import SIGN_IN_FAILED
from accounts.issuer_session import IssuerSession
from accounts.models import User
from accounts.queries.local_sign_in import may_sign_in_locally
from accounts.reauthentication import ISSUER, sign_in_methods

BEGUN_WITH: Final = "sign_in_begun_with"
"""Key of the session: what `_account` was when the sign-in began."""


class SignInAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """The steps between a proof of identity and a session."""

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that our own rate limits count."""
        return client_address(request)

    def get_login_stages(self) -> list[str]:
        """Return the one step after the first factor."""
        return ["accounts.adapters.SecondFactorStage"]

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Owners add users; nobody signs up."""
        return False

    def pre_login(self, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> HttpResponse | None:
        """Refuse whom a wrong password refuses, and with its words: a passkey reveals no more."""
        is_local = ISSUER not in sign_in_methods(request)
        person = cast("User", user)
        if not person.is_active or person.is_service or (is_local and not may_sign_in_locally(person)):
            return _refusal(request)
        request.session[BEGUN_WITH] = _account(user)
        return None

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Begin the session, unless password or rights changed since the first step, also if they changed back."""
        begun_with = request.session.pop(BEGUN_WITH, "")
        if not user.is_active or not hmac.compare_digest(begun_with, _account(user)):
            raise ImmediateHttpResponse(_refusal(request))
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> HttpResponse:
        """Make the browser a known one of the account, whatever it signed in by."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        remember_device(request, response, user.get_username())
        return response

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Say nothing: our pages show what has changed."""


def _account(user: AbstractBaseUser) -> str:
    """Return what a sign-in relies on: the password, as Django marks it in sessions, and when rights last changed."""
    now = User.objects.get(pk=user.pk)
    return f"{now.get_session_auth_hash()} {now.rights_changed_at}"


def _refusal(request: HttpRequest) -> HttpResponse:
    clear_login(request)
    messages.error(request, SIGN_IN_FAILED)
    return redirect("account_login")


class SecondFactorStage(AuthenticateStage):  # type: ignore[misc]
    """The second factor after the first, unless the issuer has checked one already."""

    def handle(self) -> tuple[HttpResponse | None, bool]:
        if settings.OIDC_HAS_SECOND_FACTOR and ISSUER in sign_in_methods(self.request):
            return None, True
        return cast("tuple[HttpResponse | None, bool]", super().handle())


class IssuerAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """The one issuer, from the settings. Rows of `SocialApp` are never read."""

    def list_apps(self, request: HttpRequest, *args: Any, **kwargs: Any) -> list[SocialApp]:
        return [issuer.app()] if settings.OIDC_ISSUER else []

    def get_requests_session(self) -> IssuerSession:
        return IssuerSession()

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Only `accounts.actions.issuer_sign_in` adds users."""
        return False


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Second factors: their secrets are encrypted under SECRET_KEY."""

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text, encryption.SECOND_FACTORS)

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt(encrypted_text, encryption.SECOND_FACTORS)

    def get_totp_issuer(self) -> str:
        """Return the name that an authenticator app shows; the host distinguishes two deployments."""
        return f"Driftwatch {urlsplit(settings.PUBLIC_URL).hostname}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the host of PUBLIC_URL: what a passkey is bound to must not depend on the Host header."""
        return {"id": urlsplit(settings.PUBLIC_URL).hostname or "", "name": "Driftwatch"}

    def get_public_key_credential_user_entity(self, user: AbstractBaseUser) -> dict[str, Any]:
        return {"id": str(user.pk).encode(), "display_name": str(user), "name": user.get_username()}

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:  # noqa: A002 - its name
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1
        return f"Passkey {number}"
