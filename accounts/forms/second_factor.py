"""Codes and passkeys as a second factor."""

from __future__ import annotations

import struct
from typing import Any, Final, cast

from allauth.core import context
from allauth.mfa import signals
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt, encrypt
from allauth.mfa.webauthn.forms import AddWebAuthnForm, AuthenticateWebAuthnForm, LoginWebAuthnForm
from allauth.mfa.webauthn.internal.auth import complete_authentication
from cryptography.exceptions import InvalidKey, InvalidSignature, UnsupportedAlgorithm
from django import forms
from django.http import HttpRequest
from fido2.utils import websafe_decode
from fido2.webauthn import AuthenticationResponse, RegistrationResponse

from accounts import rate_limits
from accounts.actions.second_factor import PASSWORDLESS, accept_code, accept_count
from accounts.client_address import client_network
from accounts.encryption import WrongKeyError
from accounts.errors import SIGN_IN_FAILED
from accounts.forms.styled import StyledForm, style_inputs
from accounts.models import User
from accounts.passkeys import is_own_origin
from accounts.plain_text import one_line

WINDOW_SECONDS: Final = 15 * 60
MAX_WRONG_CODES: Final = {"address": 10, "user": 30}
"""In 15 minutes. Three of a million codes are valid at any time; only someone who has the password gets to try."""
TOO_MANY: Final = "Too many wrong codes. Try again in 15 minutes."


def checked_code(request: HttpRequest, user: User, code: str) -> Authenticator:
    """Return the authenticator that accepts `code`, within the rate limits. Raises ValidationError."""
    keys = {
        f"code:{user.pk}:{client_network(request)}": MAX_WRONG_CODES["address"],
        f"code-of:{user.pk}": MAX_WRONG_CODES["user"],
    }
    # Counted before it is checked, so that tries at the same time do not slip by. All keys, whichever is over.
    if any([rate_limits.count(key, WINDOW_SECONDS) > maximum for key, maximum in keys.items()]):  # noqa: C419
        raise forms.ValidationError(TOO_MANY, code="limited")
    authenticator = accept_code(user, code)
    if authenticator is None:
        signals.authentication_failed.send(Authenticator, request=request, user=user)
        raise forms.ValidationError("The code is wrong or was used before.", code="wrong")
    for key in keys:
        rate_limits.uncount(key, WINDOW_SECONDS)
    authenticator.user = user
    return authenticator


def code_field(*, required: bool = True) -> forms.CharField:
    """Return the field of a code, of an app or a recovery code."""
    widget = forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"})
    return forms.CharField(max_length=32, required=required, widget=widget)


class CodeForm(StyledForm):
    """The second step of a sign-in: a code of the authenticator app, or a recovery code."""

    code = code_field()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget.attrs["autofocus"] = True
        self._user = user

    def clean_code(self) -> str:
        code = str(self.cleaned_data["code"])
        self._authenticator = checked_code(context.request, self._user, code)
        return code

    def save(self) -> None:
        """Record in the session which factor was used."""
        post_authentication(context.request, self._authenticator)


class ActivateTotpForm(ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a new authenticator app. Until it is entered, its secret is encrypted in the session."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        forms.Form.__init__(self, *args, **kwargs)
        self.user = user
        self.secret = _pending_secret(context.request, renew=not self.is_bound)
        self.fields["code"] = code_field()
        style_inputs(self)

    def clean_code(self) -> str:
        code = "".join(str(self.cleaned_data["code"]).split())
        key = f"code-of:{self.user.pk}"
        if rate_limits.count(key, WINDOW_SECONDS) > MAX_WRONG_CODES["user"]:
            raise forms.ValidationError(TOO_MANY, code="limited")
        if not totp.validate_totp_code(self.secret, code):
            raise forms.ValidationError("The code is wrong. Check the clock of your device.", code="wrong")
        rate_limits.uncount(key, WINDOW_SECONDS)
        return code


def _pending_secret(request: HttpRequest, *, renew: bool) -> str:
    """Return the secret of an authenticator app that is being set up. Sessions are stored, so it is encrypted there."""
    stored = None if renew else request.session.get(totp.SECRET_SESSION_KEY)
    try:
        if stored:
            return str(decrypt(stored))
    except WrongKeyError:
        pass
    secret = str(totp.generate_totp_secret())
    request.session[totp.SECRET_SESSION_KEY] = encrypt(secret)
    return secret


CRYPTO: Final = (InvalidKey, InvalidSignature, UnsupportedAlgorithm)
UNREADABLE: Final = (TypeError, ValueError, KeyError, AttributeError, IndexError, struct.error, *CRYPTO)
"""What parsing a credential raises beside ValidationError: anybody may send anything as one."""


def _check_use(credential: Any, passkey: Authenticator) -> None:
    """Raise ValueError unless a passkey, whose signature is right, was used on a page of ours and has no copy."""
    response = AuthenticationResponse.from_dict(credential).response
    if not is_own_origin(response.client_data.origin):
        raise ValueError("used on a page of another name")
    if not accept_count(passkey, response.authenticator_data.counter):
        raise ValueError("has been copied")


class PasskeyForm(AuthenticateWebAuthnForm):  # type: ignore[misc]
    """A passkey of a known user, after the password or to confirm who they are."""

    def clean_credential(self) -> Authenticator:
        try:
            credential, passkey = self.cleaned_data["credential"], super().clean_credential()
            _check_use(credential, passkey)
        except (forms.ValidationError, *UNREADABLE):
            raise forms.ValidationError("The passkey was not accepted. Try again.") from None
        return passkey


class PasskeySignInForm(LoginWebAuthnForm):  # type: ignore[misc]
    """A sign-in by passkey alone."""

    def clean_credential(self) -> Authenticator:
        credential = self.cleaned_data["credential"]
        try:
            # Not by django-allauth, which reads the user's number in base 36: `adapters` gives passkeys a decimal one.
            user = User.objects.get(pk=int(websafe_decode(credential["response"]["userHandle"])))
            passkey = complete_authentication(user, credential)
            if passkey.data.get(PASSWORDLESS) is not True:
                raise ValueError("added as a second factor")
            if not AuthenticationResponse.from_dict(credential).response.authenticator_data.is_user_verified():
                raise ValueError("used without PIN or fingerprint")
            _check_use(credential, passkey)
        except (forms.ValidationError, User.DoesNotExist, *UNREADABLE):
            raise forms.ValidationError(SIGN_IN_FAILED) from None
        return passkey


class NewPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey."""

    name = forms.CharField(required=False, max_length=100, validators=[one_line])

    def clean(self) -> dict[str, Any]:
        try:
            data = cast("dict[str, Any]", super().clean())
            credential = data.get("credential")
            if credential and not is_own_origin(RegistrationResponse.from_dict(credential).response.client_data.origin):
                raise ValueError("used on a page of another name")
            return data
        except UNREADABLE:
            raise forms.ValidationError("The passkey was not accepted. Try again.") from None
