"""Tokens get scopes, an expiry and a rate limit and end with their account; service accounts.

A token without an expiry, or with one more than a year away, expires one year after this migration. Existing tokens
get every scope of their user's role, so that they can do what they could.
"""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import Q, Value

EXISTING = """
UPDATE accounts_apitoken SET
    expires_at = least(expires_at, now() + interval '1 year'),
    scopes = CASE accounts_user.role
        WHEN 'reader' THEN '{read}'::varchar[]
        WHEN 'operator' THEN '{read,triage,propose}'::varchar[]
        ELSE '{read,triage,propose,policy,fleet,admin}'::varchar[]
    END
FROM accounts_user WHERE accounts_user.id = accounts_apitoken.user_id;
UPDATE accounts_apitoken SET revoked_at = now()
FROM accounts_user WHERE accounts_user.id = accounts_apitoken.user_id
    AND NOT accounts_user.is_active AND accounts_apitoken.revoked_at IS NULL;
"""
END_TOKENS = """
CREATE FUNCTION accounts_revoke_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts_apitoken SET revoked_at = now() WHERE user_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER tokens_end_with_their_account AFTER UPDATE OF is_active ON accounts_user
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active) EXECUTE FUNCTION accounts_revoke_tokens();
CREATE FUNCTION accounts_keep_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a revoked token stays revoked' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER revoked_tokens_stay_revoked BEFORE UPDATE OF revoked_at ON accounts_apitoken
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL) EXECUTE FUNCTION accounts_keep_revoked();
"""
KEEP_TOKENS = """
DROP TRIGGER revoked_tokens_stay_revoked ON accounts_apitoken;
DROP FUNCTION accounts_keep_revoked();
DROP TRIGGER tokens_end_with_their_account ON accounts_user;
DROP FUNCTION accounts_revoke_tokens();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_audit_chain")]

    operations = [
        # Every request reads the users: a lock that waits behind a long query would stop them all.
        migrations.RunSQL("SET LOCAL lock_timeout = '1s'", migrations.RunSQL.noop),
        migrations.AddField("apitoken", "last_used_address", models.GenericIPAddressField(blank=True, null=True)),
        migrations.AddField(
            "apitoken", "requests_per_minute", models.PositiveIntegerField(db_default=600, default=600)
        ),
        migrations.AddField(
            "apitoken",
            "scopes",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=16), db_default=Value("{}"), default=list
            ),
        ),
        migrations.AddField("user", "is_service", models.BooleanField(db_default=False, default=False)),
        migrations.RunSQL(EXISTING, migrations.RunSQL.noop),
        migrations.AlterField("apitoken", "expires_at", models.DateTimeField()),
        migrations.AddConstraint(
            "apitoken",
            models.CheckConstraint(
                condition=Q(scopes__contained_by=["read", "triage", "propose", "policy", "fleet", "admin"]),
                name="token_scopes_are_known",
            ),
        ),
        migrations.AddConstraint(
            "apitoken",
            models.CheckConstraint(condition=Q(requests_per_minute__range=(1, 6000)), name="token_rate_is_bounded"),
        ),
        migrations.AddConstraint(
            "user",
            models.CheckConstraint(
                condition=Q(is_service=False)
                | Q(password__startswith="!", email__endswith="@service.invalid")  # noqa: S106 - the mark of no password
                & ~Q(role="owner"),
                name="service_account_cannot_sign_in",
            ),
        ),
        migrations.RunSQL(END_TOKENS, KEEP_TOKENS),
    ]
