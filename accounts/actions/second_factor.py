"""Check codes of second factors, and remove the factors of a user who lost theirs."""

from __future__ import annotations

import hmac
import logging
from typing import Any, Final

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.db import transaction

from accounts import audit
from accounts.actions.sessions import end_sessions
from accounts.encryption import SECOND_FACTORS, WrongKeyError, encrypt_again
from accounts.models import User
from accounts.queries.current_role import check_current_role
from accounts.roles import Role

logger = logging.getLogger(__name__)
ENCRYPTED: Final = {"secret", "seed", "migrated_codes"}
"""Keys of what django-allauth stores of a factor."""
SIGN_COUNT: Final = "sign_count"
"""Key of how often a passkey had signed when it was last used."""
PASSWORDLESS: Final = "passwordless"
"""Key of whether a passkey was added to sign in without a password; one without it is a second factor alone."""


@transaction.atomic
def accept_code(user: User, code: str) -> Authenticator | None:
    """Return the user's authenticator that `code` is valid for, and use the code up; None if it is not valid.

    Each code is accepted once: of an authenticator app only one newer than the last is, however many requests race.
    """
    digits = "".join(code.split())
    rows = Authenticator.objects.select_for_update().filter(user_id=user.pk).exclude(type=Authenticator.Type.WEBAUTHN)
    for authenticator in rows.order_by("pk"):
        try:
            if _accepts(authenticator, digits):
                return authenticator
        except WrongKeyError:
            logger.warning("second factor %s was stored under another SECRET_KEY", authenticator.pk)
    return None


def _accepts(authenticator: Authenticator, digits: str) -> bool:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        return bool(authenticator.wrap().validate_code(digits))
    counter = matching_counter(authenticator.wrap(), digits)
    if counter is None or counter <= authenticator.data.get("last_counter", -1):
        return False
    authenticator.data["last_counter"] = counter
    authenticator.save(update_fields=["data"])
    return True


def matching_counter(app: totp.TOTP, digits: str) -> int | None:
    """Return the time step, of now or beside it, in which the authenticator app shows `digits`."""
    secret = totp.decrypt(app.instance.data["secret"])
    for counter in totp.yield_hotp_counters_from_time():
        expected = totp.format_hotp_value(totp.hotp_value(secret, counter))
        if hmac.compare_digest(expected.encode(), digits.encode("utf-8", "surrogatepass")):
            return int(counter)
    return None


@transaction.atomic
def accept_count(passkey: Authenticator, count: int) -> bool:
    """Record how often a passkey has signed. Returns False if that is not more than before: there is a copy of it.

    Passkeys that do not count, such as those that are synchronized between devices, always send 0.
    """
    row = Authenticator.objects.select_for_update().get(pk=passkey.pk)
    last = row.data.get(SIGN_COUNT, row.wrap().authenticator_data.counter)
    if count == last == 0:
        return True
    if count <= last:
        name = row.user.get_username()
        audit.record(None, "was refused a copied passkey of", "user", row.user_id, name=name, actor_name="somebody")
        return False
    row.data[SIGN_COUNT] = count
    row.save(update_fields=["data"])
    return True


def allow_without_password(passkey: Authenticator) -> None:
    """Record that the user added this passkey to sign in without a password.

    What it can do says nothing of that: most keep what signs in alone, and check a PIN, as second factors too.
    """
    passkey.data[PASSWORDLESS] = True
    passkey.save(update_fields=["data"])


@transaction.atomic(durable=True)
def rename_passkey(user: User, pk: int, name: str) -> bool:
    """Rename a passkey of the user. Returns False if it was removed meanwhile."""
    rows = Authenticator.objects.select_for_update().filter(user_id=user.pk, type=Authenticator.Type.WEBAUTHN)
    passkey = rows.filter(pk=pk).first()
    if passkey is None:
        return False
    before = passkey.data["name"]
    if name != before:
        passkey.data["name"] = name
        passkey.save(update_fields=["data"])
        old, new = {"passkey": before}, {"passkey": name}
        audit.record(user, "renamed a passkey of", "user", user.pk, name=user.email, before=old, after=new)
    return True


def lock_recovery_codes(user: User) -> None:
    """Make changes of the user's recovery codes wait until the end of the transaction."""
    codes = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES)
    list(codes.select_for_update().values_list("pk"))


@transaction.atomic(durable=True)
def reset_second_factor(actor: User | None, user: User) -> bool:
    """Remove all second factors of a user who lost theirs, and end their sessions. Returns False if there were none.

    Raises PermissionDenied if the actor is no Owner any more.
    """
    # In one order, as changes of users lock them: the audit log's entry refers to the actor.
    both = {user.pk} if actor is None else {user.pk, actor.pk}
    list(User.objects.select_for_update(no_key=True).filter(pk__in=both).order_by("pk").values_list("pk"))
    if actor is not None:
        check_current_role(actor, Role.OWNER)
    rows = Authenticator.objects.select_for_update().filter(user_id=user.pk)
    types = sorted(rows.values_list("type", flat=True))
    if not types:
        return False
    rows.delete()  # which announces the change
    audit.record(actor, "reset second factor of", "user", user.pk, name=user.email, before={"factors": types})
    end_sessions(actor, user)
    return True


def record_confirmation(user: User, method: str) -> None:
    """Record in the audit log that the user confirmed who they are."""
    audit.record(user, "confirmed identity of", "user", user.pk, name=user.email, after={"method": method})


def record_failed_confirmation(user: User) -> None:
    """Record in the audit log that somebody in the user's session could not."""
    audit.record(user, "failed to confirm identity of", "user", user.pk, name=user.email)


@transaction.atomic
def encrypt_second_factors_again() -> tuple[int, int]:
    """Encrypt secrets of apps and recovery codes under SECRET_KEY; return how many, and how many no key decrypts."""
    rows = list(Authenticator.objects.select_for_update().exclude(type=Authenticator.Type.WEBAUTHN).order_by("pk"))
    lost = 0
    for row in rows:
        try:
            for name in ENCRYPTED & set(row.data):
                row.data[name] = _encrypted_again(row.data[name])
        except WrongKeyError:
            lost += 1
        else:
            row.save(update_fields=["data"])
    return len(rows) - lost, lost


def _encrypted_again(value: Any) -> Any:
    """Return a secret, or a list of codes, encrypted anew."""
    return (
        [_encrypted_again(each) for each in value] if isinstance(value, list) else encrypt_again(value, SECOND_FACTORS)
    )
