"""What ends with an account, or with its rights, does not come back with them.

A sign-in, or a link that somebody asked for, may have begun while the account was active and be stored after it was
deactivated: it is worth nothing then, and would be once the account is active again.
"""

from django.db import migrations, models

TRIGGERS = {
    "sessions_end_with_their_account": "accounts_end_sessions",
    "link_ends_with_its_account": "accounts_end_link",
    "tokens_end_with_their_account": "accounts_revoke_tokens",
}


def _triggers(condition: str) -> str:
    return "".join(
        f"CREATE OR REPLACE TRIGGER {name} AFTER UPDATE OF is_active ON accounts_user"
        f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {function}();"
        for name, function in TRIGGERS.items()
    )


DATE = """
CREATE FUNCTION accounts_date_rights() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.rights_changed_at = clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER rights_are_dated BEFORE UPDATE OF is_active, role, is_scoped ON accounts_user
    FOR EACH ROW WHEN ((OLD.is_active, OLD.role, OLD.is_scoped) IS DISTINCT FROM
                       (NEW.is_active, NEW.role, NEW.is_scoped))
    EXECUTE FUNCTION accounts_date_rights();
"""
DO_NOT_DATE = """
DROP TRIGGER rights_are_dated ON accounts_user;
DROP FUNCTION accounts_date_rights();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_owners_decisions")]

    operations = [
        # First, for its lock is the strongest: after a weaker one it could wait for somebody who waits for that.
        migrations.AddField("user", "rights_changed_at", models.DateTimeField(editable=False, null=True)),
        migrations.RunSQL(
            _triggers("OLD.is_active IS DISTINCT FROM NEW.is_active"),
            _triggers("OLD.is_active AND NOT NEW.is_active"),
        ),
        migrations.RunSQL(DATE, DO_NOT_DATE),
    ]
