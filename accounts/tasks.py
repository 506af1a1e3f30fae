"""Celery tasks of accounts. Each may run twice."""

from __future__ import annotations

from celery import shared_task

from accounts.actions import audit_heads, audit_retention, audit_seals, password_reset, sessions


@shared_task(name="accounts.delete_expired_sessions")
def delete_expired_sessions() -> None:
    """Every hour: delete the sessions that have expired."""
    sessions.delete_expired_sessions()


@shared_task(name="accounts.seal_audit_log")
def seal_audit_log() -> None:
    """Every 10 seconds: seal the audit entries of the changes since."""
    audit_seals.seal_entries()


@shared_task(name="accounts.publish_audit_head")
def publish_audit_head() -> None:
    """Every hour: seal what slow transactions left behind, and publish the head of the chain."""
    audit_seals.seal_entries(everywhere=True)
    audit_heads.publish_head()


@shared_task(name="accounts.mail_password_reset")
def mail_password_reset(email: str) -> None:
    """When somebody asks for it: mail the link that resets the password of the user with this address, if any."""
    password_reset.mail_password_reset(email)


@shared_task(name="accounts.expire_audit_log")
def expire_audit_log() -> None:
    """Every hour: delete audit entries, and blank addresses, that are past their retention."""
    audit_retention.expire_audit_log()
