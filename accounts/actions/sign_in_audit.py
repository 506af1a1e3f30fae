"""Record sign-ins and second factors in the audit log, as Django and django-allauth report them by signals."""

from __future__ import annotations

from typing import Any, Final

from allauth.core import context
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest

from accounts import audit
from accounts.models import User
from accounts.models.users import has_address
from accounts.reauthentication import ISSUER, record_authentication, sign_in_methods
from accounts.signals import account_changed, break_glass_used


def record_sign_in(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """A session began; `with` is what the user proved who they are by."""
    methods = None
    if request is not None:
        record_authentication(request)
        methods = {"with": sign_in_methods(request)}
    audit.record(user, "signed in", "user", user.pk, name=user.email, after=methods)
    if not settings.LOCAL_SIGN_IN and methods is not None and ISSUER not in methods["with"]:
        audit.record(user, "used the break-glass account", "user", user.pk, name=user.email, after=methods)
        break_glass_used.send(User, user=user)


def record_sign_out(sender: Any, request: HttpRequest | None, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        audit.record(user, "signed out", "user", user.pk, name=user.email)


def record_failed_sign_in(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    """Record whose account it was. What was typed as an unknown user's name is not kept: it is often a password."""
    typed = str(credentials.get("username", "")).replace("\0", "")[:254]
    user = User.objects.filter(has_address(typed)).only("pk", "email").first()
    name, object_id = (user.email, str(user.pk)) if user else ("", "")
    audit.record(None, "failed to sign in as", "user", object_id, name=name, actor_name="somebody")


def record_added_factor(sender: Any, instance: Authenticator, created: bool, **kwargs: Any) -> None:  # noqa: FBT001
    if created:
        _record("added a second factor to", instance)
        _announce(instance, "was added")


def record_removed_factor(sender: Any, instance: Authenticator, **kwargs: Any) -> None:
    _record("removed a second factor of", instance)
    _announce(instance, "was removed")


def record_recovery_code(sender: Any, authenticator: Authenticator, **kwargs: Any) -> None:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        _record("used a recovery code of", authenticator)
        _announce(authenticator, "was used")


def record_wrong_code(sender: Any, user: User, **kwargs: Any) -> None:
    audit.record(user, "entered a wrong code for", "user", user.pk, name=user.email)


FACTORS: Final = {
    ("totp", "was added"): "An authenticator app was added",
    ("totp", "was removed"): "An authenticator app was removed",
    ("webauthn", "was added"): "A passkey was added",
    ("webauthn", "was removed"): "A passkey was removed",
    ("recovery_codes", "was added"): "New recovery codes were created",
    ("recovery_codes", "was used"): "A recovery code was used",
}


def _announce(authenticator: Authenticator, event: str) -> None:
    """Announce the change to the user. Not the end of recovery codes: it comes with that of the factor, or new ones."""
    change = FACTORS.get((str(authenticator.type), event))
    if change and authenticator.user.is_active:
        account_changed.send(User, user=authenticator.user, change=change)


def _record(verb: str, authenticator: Authenticator) -> None:
    """The actor is the request's user: an Owner may remove the factors of another user."""
    user: User = authenticator.user
    signed_in = getattr(context.request, "user", None)
    actor = signed_in if isinstance(signed_in, User) else user if context.request else None
    factor = {"factor": str(authenticator.type)}
    audit.record(actor, verb, "user", user.pk, name=user.email, after=factor)
