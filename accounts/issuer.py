"""The OpenID Connect issuer: where the browser is sent, and whom it says the user is.

The steps, state, PKCE and the exchange of the code are django-allauth's; the ID token is verified here, with its
signature. No token of the issuer is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final, cast

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.internal import statekit
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from cryptography.exceptions import UnsupportedAlgorithm
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from requests import RequestException

logger = logging.getLogger(__name__)

PROVIDER: Final = "issuer"
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones: with HS256 whoever knows the public key could sign."""
LEEWAY_SECONDS: Final = 60
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_SECONDS: Final = 5 * 60
"""How old a logout token may be: one that somebody kept must not sign users out later."""
MAX_UID: Final = 191
MAX_EMAIL: Final = 254
FAILURES: Final = (
    RequestException,
    OAuth2Error,
    jwt.PyJWTError,
    UnsupportedAlgorithm,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What a broken or hostile issuer makes these libraries raise."""


class IssuerFailed(Exception):
    """The issuer cannot be reached, or what it sent cannot be trusted. The message is for the user."""


@dataclass(frozen=True)
class Identity:
    """The user, as the issuer says. `email` is empty unless the issuer has verified it."""

    issuer: str
    subject: str
    email: str
    name: str
    groups: tuple[str, ...]
    authenticated_at: float | None


class _Client(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        """Return the callback under PUBLIC_URL: it must not depend on the Host header."""
        return f"{settings.PUBLIC_URL}{reverse('accounts:issuer-callback')}"


def app() -> SocialApp:
    """Return the portal as the issuer's client, from the settings."""
    return SocialApp(
        provider=OpenIDConnectProvider.id,
        provider_id=PROVIDER,
        name=settings.OIDC_NAME,
        client_id=settings.OIDC_CLIENT_ID,
        secret=settings.OIDC_CLIENT_SECRET,
        settings={
            "server_url": settings.OIDC_ISSUER.rstrip("/") + "/.well-known/openid-configuration",
            "oauth_pkce_enabled": True,
            "scope": settings.OIDC_SCOPES,
        },
    )


def redirect_to_issuer(
    request: HttpRequest, purpose: str, next_url: str, *, again: bool = False
) -> HttpResponseRedirect:
    """Return the redirect to the issuer. `again`: the user must prove there who they are, even if signed in there.

    Raises IssuerFailed.
    """
    nonce = secrets.token_urlsafe(24)
    provider = OpenIDConnectProvider(request, app())
    provider.oauth2_adapter_class = _Client
    parameters = {"nonce": nonce} | ({"prompt": "login", "max_age": "0"} if again else {})
    data = {"purpose": purpose, "nonce": nonce, "begun_at": time.time(), "issuer": settings.OIDC_ISSUER}
    try:
        _configuration(provider.get_oauth2_adapter(request))
        response = provider.redirect(request, "login", next_url, data, auth_params=parameters)
    except FAILURES as error:
        raise _failed(error) from None
    return cast("HttpResponseRedirect", response)


def returned_identity(request: HttpRequest) -> tuple[Identity, dict[str, Any]]:
    """Return whom the issuer's callback is about, and what the browser was sent there with: `next` and `data`.

    Raises IssuerFailed.
    """
    state = statekit.unstash_state(request, provider_id=PROVIDER, state_id=request.GET.get("state", ""))
    # Of another issuer: the setting was changed meanwhile, and its code is not for this one.
    if state is None or state["data"].get("issuer") != settings.OIDC_ISSUER:
        raise IssuerFailed("This sign-in has expired or was begun in another browser. Start again.")
    if "error" in request.GET or not request.GET.get("code"):
        is_denied = request.GET.get("error") == "access_denied"
        raise IssuerFailed("The sign-in was cancelled." if is_denied else f"{_name()} reported an error.")
    client = _Client(request, PROVIDER)
    try:
        configuration = _configuration(client)
        _check_callback(request, configuration)
        oauth = client.get_client(request, app())
        verifier = state.get("pkce_code_verifier")
        response = client.get_access_token_data(request, app(), oauth, pkce_code_verifier=verifier)
        token = _verified_token(response["id_token"], configuration, state["data"]["nonce"])
        return _identity(token, _user_info(client, configuration, response, token)), state
    except FAILURES as error:
        raise _failed(error) from None


def _configuration(client: _Client) -> dict[str, Any]:
    configuration: dict[str, Any] = client.openid_config
    if configuration["issuer"].rstrip("/") != settings.OIDC_ISSUER.rstrip("/"):
        raise ValueError("the configuration names another issuer than OIDC_ISSUER")
    return configuration


def _check_callback(request: HttpRequest, configuration: dict[str, Any]) -> None:
    """Raise ValueError for a callback of another issuer, or of none where ours names itself in each (RFC 9207)."""
    is_named = configuration.get("authorization_response_iss_parameter_supported") is True
    if request.GET.get("iss", None if is_named else configuration["issuer"]) != configuration["issuer"]:
        raise ValueError("callback of another issuer")


def logged_out_subject(token: str) -> str:
    """Return the subject whom a logout token of the issuer names (OpenID Connect Back-Channel Logout 1.0, 2.6).

    Raises IssuerFailed. A token that names only a session is refused: the portal keeps no ids of the issuer's sessions.
    """
    client = _Client(HttpRequest(), PROVIDER)
    try:
        claims = _claims(token, _configuration(client), ["iss", "aud", "iat", "exp", "jti", "sub", "events"])
        if not isinstance(claims["events"].get(LOGOUT_EVENT), dict) or "nonce" in claims:
            raise ValueError("this is not a logout token")
        if claims["iat"] < time.time() - LOGOUT_SECONDS:
            raise ValueError("the logout token is old")
        return _subject(claims)
    except FAILURES as error:
        raise _failed(error) from None


def _verified_token(token: str, configuration: dict[str, Any], nonce: str) -> dict[str, Any]:
    claims = _claims(token, configuration, ["exp", "iat", "iss", "aud", "sub"])
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise ValueError("the ID token is not for this sign-in")
    is_for_others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if is_for_others else settings.OIDC_CLIENT_ID) != settings.OIDC_CLIENT_ID:
        raise ValueError("the ID token is for another client")
    return claims


def _claims(token: str, configuration: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """Return the claims of a token that the issuer signed for us, and that has not expired."""
    with get_adapter().get_requests_session() as session:
        response = session.get(configuration["jwks_uri"])
        response.raise_for_status()
        keys = jwt.PyJWKSet.from_dict(response.json()).keys
    key_id = jwt.get_unverified_header(token).get("kid")
    signing = [key for key in keys if key.public_key_use in {None, "sig"}]
    key = next((key for key in signing if key_id in {None, key.key_id}), None)
    if key is None:
        raise ValueError("the issuer does not have the key of this token")
    claims: dict[str, Any] = jwt.decode(
        token,
        key.key,
        algorithms=list(ALGORITHMS),
        audience=settings.OIDC_CLIENT_ID,
        issuer=configuration["issuer"],
        leeway=LEEWAY_SECONDS,
        options={"require": required},
    )
    return claims


def _user_info(
    client: _Client, configuration: dict[str, Any], response: dict[str, Any], token: dict[str, Any]
) -> dict[str, Any]:
    """Return the claims of the user-info endpoint, where the issuer has one."""
    if "userinfo_endpoint" not in configuration:
        return {}
    found: dict[str, Any] = client._fetch_user_info(response["access_token"])
    if found["sub"] != token["sub"]:
        raise ValueError("the user info is about another user")
    return found


def _identity(token: dict[str, Any], user_info: dict[str, Any]) -> Identity:
    claims = token | user_info
    authenticated_at = token.get("auth_time")
    name = str(claims.get("name") or claims.get("preferred_username") or "")
    return Identity(
        issuer=settings.OIDC_ISSUER,
        subject=_subject(token),
        email=_verified_email(token) or _verified_email(user_info),
        name=" ".join("".join(each for each in name if each.isprintable() or each.isspace()).split())[:128],
        groups=_groups(token, user_info),
        authenticated_at=float(authenticated_at) if authenticated_at is not None else None,
    )


def _subject(token: dict[str, Any]) -> str:
    """Return the subject as it is stored."""
    subject = str(token["sub"])
    if not subject.isprintable():
        raise ValueError("the subject has control characters")
    return subject if len(subject) <= MAX_UID else hashlib.sha256(subject.encode()).hexdigest()


def _verified_email(source: dict[str, Any]) -> str:
    """Return the address if this source says that it is verified, and one of ours can be like it; else ""."""
    verified, email = source.get("email_verified"), str(source.get("email") or "").strip()
    try:
        validate_email(email)
    except ValidationError:
        return ""
    is_usable = len(email) <= MAX_EMAIL and email.isprintable()
    return email if is_usable and (verified is True or verified == "true") else ""


def _groups(*sources: dict[str, Any]) -> tuple[str, ...]:
    """Return the groups of the ID token and the user info together, those that the settings name first.

    Raises IssuerFailed if there were too many for the token, of which the issuer then names none.
    """
    found: set[str] = set()
    claim = settings.OIDC_GROUPS_CLAIM.partition(".")[0]
    if any(claim in (source.get("_claim_names") or {}) or source.get("hasgroups") for source in sources):
        raise IssuerFailed(f"You have too many groups for {settings.OIDC_NAME} to send them. Ask an Owner.")
    for source in sources:
        value: Any = source
        for step in settings.OIDC_GROUPS_CLAIM.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        values = value if isinstance(value, list) else [value]
        found.update(each for each in values if isinstance(each, str) and each.isprintable())
    named = {*settings.OIDC_ROLES, *settings.OIDC_SCOPE_GROUPS}
    return tuple(sorted(found, key=lambda group: (group not in named, group)))


def _failed(error: Exception) -> IssuerFailed:
    # Its text may contain what the issuer or a stranger sent, also a code or secret: the class must do.
    logger.warning("the OpenID Connect issuer failed: %s", type(error).__name__)
    if isinstance(error, RequestException):
        return IssuerFailed(f"{_name()} cannot be reached. Try again in a moment.")
    return IssuerFailed(f"The answer of {_name()} was not accepted. Start again.")


def _name() -> str:
    name: str = settings.OIDC_NAME
    return name[:1].upper() + name[1:]
